package operations

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// RegisterContainerInstance makes a container instance, or brings one up to date when its agent has restarted. An agent
// whose answer got lost asks again with the same client token, and gets the instance that it has already.
//
// The answer has every attribute of the request: agents stop for good when one is missing.
func (s *Service) RegisterContainerInstance(ctx context.Context, in *ecsapi.RegisterContainerInstanceInput) (*ecsapi.RegisterContainerInstanceOutput, error) {
	resources, err := readResources(in.TotalResources, in.PlatformDevices)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	identity := readIdentity(deref(in.InstanceIdentityDocument))
	fresh := arn.NewID()
	var out *ecsapi.RegisterContainerInstanceOutput
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, in.Cluster)
		if err != nil {
			return err
		}
		old, err := s.registered(tx, cluster.Name, deref(in.ContainerInstanceArn), deref(in.ClientToken))
		if err != nil {
			return err
		}
		next := ecs.ContainerInstance{
			ID: fresh, Cluster: cluster.Name, Status: ecs.InstanceActive, RegisteredAt: s.Now(),
			ClientToken: deref(in.ClientToken), Tags: tags,
		}
		if old != nil {
			next = *old // with its tags and custom attributes: only a first registration brings those
		}
		next.Resources = resources
		next.Attributes = mergeAttributes(readAttributes(in.Attributes), s.ownAttributes(identity), next.Attributes)
		if identity.InstanceID != "" {
			next.EC2InstanceID = identity.InstanceID
		}
		if v := in.VersionInfo; v != nil {
			next.AgentVersion, next.AgentHash, next.DockerVersion = deref(v.AgentVersion), deref(v.AgentHash), deref(v.DockerVersion)
		}
		if old == nil || !reflect.DeepEqual(next, *old) {
			next.Version++
			state.Instances.Put(tx, &next)
		}
		w := s.renderInstance(instance(tx, &next), true)
		out = &ecsapi.RegisterContainerInstanceOutput{ContainerInstance: &w}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// registered finds the instance that a registration is about: the one that it names, or the one that an earlier attempt
// with the same client token made; nil when it is a new one.
func (s *Service) registered(r store.Reader, cluster, ref, token string) (*ecs.ContainerInstance, error) {
	if ref != "" {
		ci, _, err := s.findInstance(r, cluster, ref)
		switch {
		case err != nil:
			return nil, err
		case ci == nil:
			return nil, errInstanceNotFound()
		case ci.Status == ecs.InstanceInactive:
			// Agents give up on this error. Coming back is a decision: the instance was deregistered on purpose.
			return nil, fault.InvalidParameter("The container instance %s is INACTIVE: it was deregistered. "+
				"To register this machine again, remove the agent's saved state and restart the agent.", ref)
		}
		return ci, nil
	}
	if token == "" {
		return nil, nil
	}
	for ci := range state.InstancesByCluster.Each(r, cluster) {
		if ci.ClientToken == token && ci.Status != ecs.InstanceInactive {
			return ci, nil
		}
	}
	return nil, nil
}

// identityDocument is what the server reads of an EC2 instance identity document. It is EC2's word on the machine, signed
// by AWS; here it only fills in names: what counts is who signed the request.
type identityDocument struct {
	InstanceID       string `json:"instanceId"`
	InstanceType     string `json:"instanceType"`
	ImageID          string `json:"imageId"`
	AvailabilityZone string `json:"availabilityZone"`
}

// readIdentity reads it if it can be read: agents outside EC2 send an empty one.
func readIdentity(doc string) (id identityDocument) {
	if json.Unmarshal([]byte(doc), &id) != nil {
		return identityDocument{}
	}
	return id
}

// ownAttributes are those that the server adds where the agent has none (ecs-semantics 13). Every instance has a zone;
// one that says nothing of it is in the region's first.
func (s *Service) ownAttributes(id identityDocument) []ecs.Attribute {
	if id.AvailabilityZone == "" {
		id.AvailabilityZone = s.Scope.Region + "a"
	}
	own := []ecs.Attribute{{Name: "ecs.availability-zone", Value: id.AvailabilityZone}}
	if id.InstanceType != "" {
		own = append(own, ecs.Attribute{Name: "ecs.instance-type", Value: id.InstanceType})
	}
	if id.ImageID != "" {
		own = append(own, ecs.Attribute{Name: "ecs.ami-id", Value: id.ImageID})
	}
	return own
}

// readAttributes keeps the last value of a name that comes twice.
func readAttributes(in []ecsapi.Attribute) (all []ecs.Attribute) {
	for _, a := range in {
		next := ecs.Attribute{Name: deref(a.Name), Value: deref(a.Value)}
		if i := slices.IndexFunc(all, func(a ecs.Attribute) bool { return a.Name == next.Name }); i >= 0 {
			all[i] = next
			continue
		}
		all = append(all, next)
	}
	return all
}

// mergeAttributes makes the attributes of an instance: what the agent sent, then what the server adds, then the custom
// ones that the instance had already (agents send theirs only once; others came by PutAttributes). Capabilities that the
// agent no longer names are gone.
func mergeAttributes(sent, own, had []ecs.Attribute) []ecs.Attribute {
	all := slices.Clone(sent)
	add := func(a ecs.Attribute) {
		if !slices.ContainsFunc(all, func(b ecs.Attribute) bool { return a.Name == b.Name }) {
			all = append(all, a)
		}
	}
	for _, a := range own {
		add(a)
	}
	for _, a := range had {
		if customAttribute(a.Name) {
			add(a)
		}
	}
	return all
}

// readResources reads what the machine has. The ports are those that its host keeps for itself.
func readResources(in []ecsapi.Resource, devices []ecsapi.PlatformDevice) (res ecs.Resources, err error) {
	for _, r := range in {
		switch deref(r.Name) {
		case "CPU":
			res.CPU, err = resourceAmount(r)
		case "MEMORY":
			res.Memory, err = resourceAmount(r)
		case "PORTS":
			res.Ports, err = resourcePorts(r)
		case "PORTS_UDP":
			res.PortsUDP, err = resourcePorts(r)
		}
		if err != nil {
			return res, err
		}
	}
	if res.CPU == 0 || res.Memory == 0 {
		return res, fault.InvalidParameter("totalResources must have CPU and MEMORY, both greater than 0.")
	}
	for _, d := range devices {
		if deref(d.Type) == ecsapi.PlatformDeviceTypeGPU {
			res.GPUs = append(res.GPUs, deref(d.Id))
		}
	}
	return res, nil
}

func resourceAmount(r ecsapi.Resource) (int, error) {
	n := int64(deref(r.IntegerValue))
	if n == 0 {
		n = deref(r.LongValue)
	}
	if n == 0 {
		n = int64(deref(r.DoubleValue))
	}
	if n < 0 || n > 1<<31-1 {
		return 0, fault.InvalidParameter("Invalid value for the resource %s: %d", deref(r.Name), n)
	}
	return int(n), nil
}

func resourcePorts(r ecsapi.Resource) (ports []int, err error) {
	for _, text := range r.StringSetValue {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			return nil, fault.InvalidParameter("Invalid port in the resource %s: %s", deref(r.Name), text)
		}
		ports = append(ports, n)
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}
