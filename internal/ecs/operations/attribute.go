package operations

import (
	"cmp"
	"context"
	"iter"
	"regexp"
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

func (s *Service) attributeHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.PutAttributes, s.PutAttributes),
		wire.Handle(ecsapi.ListAttributes, s.ListAttributes),
		wire.Handle(ecsapi.DeleteAttributes, s.DeleteAttributes),
	}
}

// maxCustomAttributes is how many attributes of its own a container instance may have, and how many one request may name.
const maxCustomAttributes = 10

// targetContainerInstance is the only thing that has attributes.
const targetContainerInstance = "container-instance"

var (
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_/\\.-]{1,128}$`)
	// A value has no space at its ends.
	attributeValue = regexp.MustCompile(`^[A-Za-z0-9_/\\.@:-]([A-Za-z0-9_/\\.@: -]{0,126}[A-Za-z0-9_/\\.@:-])?$`)
)

// customAttribute tells the user's attributes from those that the agent and ECS itself set.
func customAttribute(name string) bool {
	return !strings.HasPrefix(name, "ecs.") && !strings.HasPrefix(name, "com.amazonaws.ecs.")
}

// attributeChange is what a request does to one attribute.
type attributeChange func(ci *ecs.ContainerInstance, a ecs.Attribute) (ecs.Attribute, error)

// PutAttributes creates and replaces custom attributes of container instances, all of them or none.
func (s *Service) PutAttributes(ctx context.Context, in *ecsapi.PutAttributesInput) (*ecsapi.PutAttributesOutput, error) {
	done, err := s.changeAttributes(ctx, in.Cluster, in.Attributes, func(ci *ecs.ContainerInstance, a ecs.Attribute) (ecs.Attribute, error) {
		if a.Value != "" && !attributeValue.MatchString(a.Value) {
			return a, fault.InvalidParameter("Invalid attribute value: %s", a.Value)
		}
		stored := ecs.Attribute{Name: a.Name, Value: a.Value}
		if i := attributeIndex(ci, a.Name); i >= 0 {
			ci.Attributes[i] = stored
			return a, nil
		}
		custom := 0
		for _, other := range ci.Attributes {
			if customAttribute(other.Name) {
				custom++
			}
		}
		if custom >= maxCustomAttributes {
			return a, fault.New("AttributeLimitExceededException", "You can apply up to %d custom attributes for each resource.", maxCustomAttributes)
		}
		ci.Attributes = append(ci.Attributes, stored)
		return a, nil
	})
	return &ecsapi.PutAttributesOutput{Attributes: done}, err
}

// DeleteAttributes removes custom attributes by their names; one that isn't there is as good as removed.
func (s *Service) DeleteAttributes(ctx context.Context, in *ecsapi.DeleteAttributesInput) (*ecsapi.DeleteAttributesOutput, error) {
	done, err := s.changeAttributes(ctx, in.Cluster, in.Attributes, func(ci *ecs.ContainerInstance, a ecs.Attribute) (ecs.Attribute, error) {
		if i := attributeIndex(ci, a.Name); i >= 0 {
			a.Value = ci.Attributes[i].Value
			ci.Attributes = slices.Delete(ci.Attributes, i, i+1)
		}
		return a, nil
	})
	return &ecsapi.DeleteAttributesOutput{Attributes: done}, err
}

func attributeIndex(ci *ecs.ContainerInstance, name string) int {
	return slices.IndexFunc(ci.Attributes, func(a ecs.Attribute) bool { return a.Name == name })
}

// changeAttributes applies a change to every attribute that a request names, in one transaction.
func (s *Service) changeAttributes(ctx context.Context, cluster *string, given []ecsapi.Attribute, change attributeChange) ([]ecsapi.Attribute, error) {
	if len(given) == 0 {
		return nil, fault.InvalidParameter("Attributes cannot be empty.")
	}
	if len(given) > maxCustomAttributes {
		return nil, fault.InvalidParameter("Attributes cannot have more than %d elements.", maxCustomAttributes)
	}
	for _, a := range given {
		name := deref(a.Name)
		if !attributeName.MatchString(name) {
			return nil, fault.InvalidParameter("Invalid attribute name: %s", name)
		}
		if !customAttribute(name) {
			return nil, fault.InvalidParameter("Attributes that start with 'ecs.' or 'com.amazonaws.ecs.' are reserved, but one was %s", name)
		}
	}
	var done []ecs.Attribute
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		done = nil
		c, err := s.activeCluster(tx, cluster)
		if err != nil {
			return err
		}
		for _, a := range given {
			ci, err := s.attributeTarget(tx, c.Name, a)
			if err != nil {
				return err
			}
			next := *ci
			next.Attributes = slices.Clone(ci.Attributes)
			result, err := change(&next, ecs.Attribute{Name: deref(a.Name), Value: deref(a.Value),
				TargetType: targetContainerInstance, TargetID: s.Scope.Instance(c.Name, ci.ID)})
			if err != nil {
				return err
			}
			if !slices.Equal(next.Attributes, ci.Attributes) {
				next.Version++
				state.Instances.Put(tx, &next)
			}
			done = append(done, result)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return renderAttributes(done), nil
}

// attributeTarget finds the instance that an attribute belongs to. A bare id doesn't say of what: it needs a targetType.
func (s *Service) attributeTarget(r store.Reader, cluster string, a ecsapi.Attribute) (*ecs.ContainerInstance, error) {
	ref := deref(a.TargetId)
	if ref == "" {
		return nil, fault.InvalidParameter("Attribute targetId cannot be empty.")
	}
	if !arn.IsARN(ref) && a.TargetType == nil {
		return nil, fault.InvalidParameter("Attribute targetType must be specified when targetId is not a full ARN.")
	}
	ci, _, err := s.findInstance(r, cluster, ref)
	if err != nil {
		return nil, err
	}
	if ci == nil || ci.Status == ecs.InstanceInactive {
		return nil, fault.New("TargetNotFoundException", "Could not find %s", ref)
	}
	return ci, nil
}

// ListAttributes lists the attributes of a cluster's instances, filtered by name and then by value.
func (s *Service) ListAttributes(ctx context.Context, in *ecsapi.ListAttributesInput) (*ecsapi.ListAttributesOutput, error) {
	if in.AttributeValue != nil && in.AttributeName == nil {
		return nil, fault.InvalidParameter("attributeValue can be specified only together with attributeName.")
	}
	match := func(a ecs.Attribute) bool {
		return (in.AttributeName == nil || a.Name == *in.AttributeName) && (in.AttributeValue == nil || a.Value == *in.AttributeValue)
	}
	var found []ecs.Attribute
	out := &ecsapi.ListAttributesOutput{}
	err := s.Store.View(func(r store.Reader) error {
		c, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		// The place in the list is "<instance>|<attribute>": neither has a '|' in it.
		found, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, ecs.Attribute] {
			return func(yield func(string, ecs.Attribute) bool) {
				for ci := range state.InstancesByCluster.Each(r, c.Name) {
					if ci.Status == ecs.InstanceInactive || ci.ID+"}" <= after { // '}' follows '|': all of ci's places are past
						continue
					}
					sorted := slices.SortedFunc(slices.Values(ci.Attributes), func(a, b ecs.Attribute) int { return cmp.Compare(a.Name, b.Name) })
					for _, a := range sorted {
						place := ci.ID + "|" + a.Name
						if place <= after || !match(a) {
							continue
						}
						a.TargetID, a.TargetType = s.Scope.Instance(c.Name, ci.ID), ""
						if !yield(place, a) {
							return
						}
					}
				}
			}
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Attributes = renderAttributes(found)
	return out, nil
}
