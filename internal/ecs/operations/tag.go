package operations

import (
	"context"
	"slices"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) tagHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.TagResource, s.TagResource),
		wire.Handle(ecsapi.UntagResource, s.UntagResource),
		wire.Handle(ecsapi.ListTagsForResource, s.ListTagsForResource),
	}
}

// maxTags is how many tags a user may put on a resource; those that ECS adds ("aws:ecs:...") don't count.
const maxTags = 50

// reservedTag tells whether a key belongs to AWS, in any case: "aws:x", "AWS:x".
func reservedTag(key string) bool {
	return len(key) >= 4 && strings.EqualFold(key[:4], "aws:")
}

// newTags reads the tags of a request. Lengths and characters were checked against the model; what is left are the rules
// between tags: keys are unique (and case-sensitive: "team" and "Team" are two), "aws:" is reserved, 50 at most.
func newTags(in []ecsapi.Tag) ([]ecs.Tag, error) {
	if len(in) == 0 {
		return nil, nil
	}
	tags := make([]ecs.Tag, len(in))
	seen := make(map[string]bool, len(in))
	for i, t := range in {
		key := deref(t.Key)
		switch {
		case key == "":
			return nil, fault.InvalidParameter("Tag key should not be null or empty.")
		case reservedTag(key):
			return nil, fault.InvalidParameter("Tag keys that start with 'aws:' are reserved for system use: '%s'.", key)
		case seen[key]:
			return nil, fault.InvalidParameter("Tag keys must be unique: '%s' is given more than once.", key)
		}
		seen[key] = true
		tags[i] = ecs.Tag{Key: key, Value: deref(t.Value)}
	}
	if len(tags) > maxTags {
		return nil, fault.InvalidParameter("Number of tags should be at most %d.", maxTags)
	}
	return tags, nil
}

// renderTags renders tags, as an empty list when there are none.
func renderTags(tags []ecs.Tag) []ecsapi.Tag {
	w := make([]ecsapi.Tag, len(tags))
	for i := range tags {
		w[i] = ecsapi.Tag{Key: &tags[i].Key, Value: &tags[i].Value}
	}
	return w
}

// TagResource adds tags to a resource, and gives those that it has already their new values.
func (s *Service) TagResource(ctx context.Context, in *ecsapi.TagResourceInput) (*ecsapi.TagResourceOutput, error) {
	added, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		t, err := s.tagged(tx, deref(in.ResourceArn))
		if err != nil {
			return err
		}
		tags := mergeTags(t.tags, added)
		if userTags(tags) > maxTags {
			return fault.New("LimitExceededException", "Number of tags should be at most %d.", maxTags)
		}
		t.put(tx, tags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.TagResourceOutput{}, nil
}

// UntagResource removes tags by their keys; keys that the resource doesn't have are no error.
func (s *Service) UntagResource(ctx context.Context, in *ecsapi.UntagResourceInput) (*ecsapi.UntagResourceOutput, error) {
	for _, key := range in.TagKeys {
		if reservedTag(key) {
			return nil, fault.InvalidParameter("Tag keys that start with 'aws:' are reserved for system use: '%s'.", key)
		}
	}
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		t, err := s.tagged(tx, deref(in.ResourceArn))
		if err != nil {
			return err
		}
		t.put(tx, slices.DeleteFunc(slices.Clone(t.tags), func(tag ecs.Tag) bool { return slices.Contains(in.TagKeys, tag.Key) }))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.UntagResourceOutput{}, nil
}

// ListTagsForResource answers a resource's tags.
func (s *Service) ListTagsForResource(ctx context.Context, in *ecsapi.ListTagsForResourceInput) (*ecsapi.ListTagsForResourceOutput, error) {
	out := &ecsapi.ListTagsForResourceOutput{}
	return out, s.Store.View(func(r store.Reader) error {
		t, err := s.tagged(r, deref(in.ResourceArn))
		if err != nil {
			return err
		}
		out.Tags = renderTags(t.tags)
		return nil
	})
}

// mergeTags returns the tags with those added: a key that is there already keeps its place and gets the new value.
func mergeTags(tags, added []ecs.Tag) []ecs.Tag {
	merged := slices.Clone(tags)
	for _, t := range added {
		if i := slices.IndexFunc(merged, func(have ecs.Tag) bool { return have.Key == t.Key }); i >= 0 {
			merged[i] = t
		} else {
			merged = append(merged, t)
		}
	}
	return merged
}

func userTags(tags []ecs.Tag) (n int) {
	for _, t := range tags {
		if !reservedTag(t.Key) {
			n++
		}
	}
	return n
}

// taggedResource is a resource as the tag operations see it, whatever its kind.
type taggedResource struct {
	tags []ecs.Tag
	put  func(tx *store.Tx, tags []ecs.Tag)
}

// tagged finds the resource that an ARN names. Only long ARNs will do, since a short one doesn't say which cluster the
// resource is in.
func (s *Service) tagged(r store.Reader, ref string) (taggedResource, error) {
	a, ok := arn.Parse(ref)
	if !ok || a.Service != "ecs" {
		return taggedResource{}, fault.InvalidParameter("Invalid ARN: %s", ref)
	}
	cluster, id, inCluster := strings.Cut(a.Resource, "/")
	switch a.Type {
	case "task", "service", "container-instance":
		if !inCluster {
			return taggedResource{}, fault.InvalidParameter("Long arn format must be used for tagging operations")
		}
		if a.Scope != s.Scope {
			return taggedResource{}, errResourceNotFound(a.Type)
		}
		if _, ok := state.Clusters.Get(r, cluster); !ok {
			return taggedResource{}, errClusterNotFound()
		}
	}
	if a.Scope != s.Scope {
		return taggedResource{}, errResourceNotFound(a.Type)
	}
	switch a.Type {
	case "cluster":
		return taggedCluster(r, a.Resource)
	case "task-definition":
		return s.taggedTaskDefinition(r, ref)
	case "service":
		return taggedService(r, ecs.ServiceKey(cluster, id))
	case "task":
		return taggedTask(r, cluster, id)
	case "container-instance":
		return taggedInstance(r, cluster, id)
	case "capacity-provider", "task-set", "daemon", "daemon-task-definition": // taggable, but there are none yet
		return taggedResource{}, errResourceNotFound(a.Type)
	}
	return taggedResource{}, fault.InvalidParameter("Resources of the type %s can't be tagged.", a.Type)
}

func errResourceNotFound(typ string) error {
	return fault.New("ResourceNotFoundException", "The specified %s could not be found.", strings.ReplaceAll(typ, "-", " "))
}

func taggedCluster(r store.Reader, name string) (taggedResource, error) {
	c, ok := state.Clusters.Get(r, name)
	if !ok {
		return taggedResource{}, errClusterNotFound()
	}
	if c.Status != ecs.ClusterActive {
		return taggedResource{}, fault.InvalidParameter("The specified cluster is inactive. Specify an active cluster and try again.")
	}
	return taggedResource{c.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *c
		next.Tags = tags
		state.Clusters.Put(tx, &next)
	}}, nil
}

func (s *Service) taggedTaskDefinition(r store.Reader, ref string) (taggedResource, error) {
	id, here, err := s.taskDefinitionID(ref)
	if err != nil {
		return taggedResource{}, err
	}
	td, ok := state.TaskDefinitions.Get(r, id.Key())
	if !ok || !here {
		return taggedResource{}, errResourceNotFound("task-definition")
	}
	return taggedResource{td.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *td
		next.Tags = tags
		state.TaskDefinitions.Put(tx, &next)
	}}, nil
}

func taggedService(r store.Reader, key string) (taggedResource, error) {
	svc, ok := state.Services.Get(r, key)
	if !ok {
		return taggedResource{}, errResourceNotFound("service")
	}
	if svc.Status == ecs.ServiceInactive {
		return taggedResource{}, fault.InvalidParameter("The specified service is inactive. Specify an active service and try again.")
	}
	return taggedResource{svc.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *svc
		next.Tags = tags
		state.Services.Put(tx, &next)
	}}, nil
}

func taggedTask(r store.Reader, cluster, id string) (taggedResource, error) {
	t, ok := state.Tasks.Get(r, id)
	if !ok || t.Cluster != cluster {
		return taggedResource{}, errResourceNotFound("task")
	}
	if t.Stopped() {
		return taggedResource{}, fault.InvalidParameter("The specified task is stopped. Specify a running task and try again.")
	}
	return taggedResource{t.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *t
		next.Tags = tags
		state.Tasks.Put(tx, &next)
	}}, nil
}

func taggedInstance(r store.Reader, cluster, id string) (taggedResource, error) {
	ci, ok := state.Instances.Get(r, id)
	if !ok || ci.Cluster != cluster {
		return taggedResource{}, errResourceNotFound("container-instance")
	}
	if ci.Status == ecs.InstanceInactive {
		return taggedResource{}, fault.InvalidParameter("The specified container instance is inactive. Specify an active container instance and try again.")
	}
	return taggedResource{ci.Tags, func(tx *store.Tx, tags []ecs.Tag) {
		next := *ci
		next.Tags = tags
		state.Instances.Put(tx, &next)
	}}, nil
}
