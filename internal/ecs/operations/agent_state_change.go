package operations

import (
	"context"
	"slices"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// acknowledgment is what agents get for a report; they don't look at it.
const acknowledgment = "ACK"

// SubmitTaskStateChange takes an agent's report of a task. The agent repeats it until it is answered, so a report may
// come twice, and that is fine. One about a task that doesn't exist (any more) is refused with the error that makes the
// agent drop it; for the same reason nothing else here fails with anything but a failure of the store.
func (s *Service) SubmitTaskStateChange(ctx context.Context, in *ecsapi.SubmitTaskStateChangeInput) (*ecsapi.SubmitTaskStateChangeOutput, error) {
	change := lifecycle.TaskChange{
		Status:             deref(in.Status),
		Reason:             deref(in.Reason),
		PullStartedAt:      instant(in.PullStartedAt),
		PullStoppedAt:      instant(in.PullStoppedAt),
		ExecutionStoppedAt: instant(in.ExecutionStoppedAt),
		Attachments:        attachmentChanges(in.Attachments),
	}
	if err := checkReported(change.Status); err != nil {
		return nil, err
	}
	for _, c := range in.Containers {
		if err := checkReported(deref(c.Status)); err != nil {
			return nil, err
		}
		change.Containers = append(change.Containers, lifecycle.ContainerChange{
			Name: deref(c.ContainerName), RuntimeID: deref(c.RuntimeId), Status: deref(c.Status), ExitCode: exitCode(c.ExitCode),
			Reason: deref(c.Reason), ImageDigest: deref(c.ImageDigest), NetworkBindings: networkBindings(c.NetworkBindings),
		})
	}
	if err := s.applyChange(ctx, in.Cluster, deref(in.Task), change); err != nil {
		return nil, err
	}
	return &ecsapi.SubmitTaskStateChangeOutput{Acknowledgment: ptr(acknowledgment)}, nil
}

// SubmitContainerStateChange takes a report of one container; agents of today send SubmitTaskStateChange instead.
func (s *Service) SubmitContainerStateChange(ctx context.Context, in *ecsapi.SubmitContainerStateChangeInput) (*ecsapi.SubmitContainerStateChangeOutput, error) {
	if err := checkReported(deref(in.Status)); err != nil {
		return nil, err
	}
	change := lifecycle.TaskChange{Containers: []lifecycle.ContainerChange{{
		Name: deref(in.ContainerName), RuntimeID: deref(in.RuntimeId), Status: deref(in.Status), ExitCode: exitCode(in.ExitCode),
		Reason: deref(in.Reason), NetworkBindings: networkBindings(in.NetworkBindings),
	}}}
	if err := s.applyChange(ctx, in.Cluster, deref(in.Task), change); err != nil {
		return nil, err
	}
	return &ecsapi.SubmitContainerStateChangeOutput{Acknowledgment: ptr(acknowledgment)}, nil
}

// SubmitAttachmentStateChanges takes reports of attachments, without naming their tasks.
func (s *Service) SubmitAttachmentStateChanges(ctx context.Context, in *ecsapi.SubmitAttachmentStateChangesInput) (*ecsapi.SubmitAttachmentStateChangesOutput, error) {
	cluster, err := s.clusterName(in.Cluster)
	if err != nil {
		return nil, err
	}
	changes := attachmentChanges(in.Attachments)
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		// Attachments come once in a task's life, so there is no index for them.
		known := 0
		for t := range state.TasksByCluster.Each(tx, cluster+"/"+ecs.TaskRunning) {
			if n := attachmentsOf(t, changes); n > 0 {
				known += n
				s.put(tx, t, lifecycle.TaskChange{Attachments: changes})
			}
		}
		if known < len(changes) {
			return fault.InvalidParameter("The referenced attachment was not found.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.SubmitAttachmentStateChangesOutput{Acknowledgment: ptr(acknowledgment)}, nil
}

// applyChange puts one report into its task, and writes only if it says something new.
func (s *Service) applyChange(ctx context.Context, clusterRef *string, ref string, change lifecycle.TaskChange) error {
	cluster, err := s.clusterName(clusterRef)
	if err != nil {
		return err
	}
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		t, _, err := s.findTask(tx, cluster, ref)
		if err != nil {
			return err
		}
		if t == nil {
			return fault.InvalidParameter("The referenced task was not found.")
		}
		s.put(tx, t, change)
		return nil
	})
	return err
}

func (s *Service) put(tx *store.Tx, t *ecs.Task, change lifecycle.TaskChange) {
	if next := lifecycle.Apply(*t, change, s.Now()); next.Version != t.Version {
		state.Tasks.Put(tx, &next)
	}
}

// checkReported refuses statuses that agents don't report. Absent is fine: a report can be about attachments alone.
func checkReported(status string) error {
	switch status {
	case "", ecs.TaskPending, ecs.TaskRunning, ecs.TaskStopped:
		return nil
	}
	return fault.InvalidParameter("Invalid status: %s", status)
}

func attachmentsOf(t *ecs.Task, changes []lifecycle.AttachmentChange) (n int) {
	for _, c := range changes {
		if slices.ContainsFunc(t.Attachments, func(a ecs.Attachment) bool { return a.ID == arn.Last(c.ARN) }) {
			n++
		}
	}
	return n
}

func attachmentChanges(in []ecsapi.AttachmentStateChange) (all []lifecycle.AttachmentChange) {
	for _, a := range in {
		all = append(all, lifecycle.AttachmentChange{ARN: deref(a.AttachmentArn), Status: deref(a.Status)})
	}
	return all
}

func networkBindings(in []ecsapi.NetworkBinding) (all []ecs.NetworkBinding) {
	for _, b := range in {
		all = append(all, ecs.NetworkBinding{
			BindIP: deref(b.BindIP), ContainerPort: int(deref(b.ContainerPort)), HostPort: int(deref(b.HostPort)),
			Protocol: string(deref(b.Protocol)), ContainerPortRange: deref(b.ContainerPortRange), HostPortRange: deref(b.HostPortRange),
		})
	}
	return all
}

func exitCode(n *int32) *int {
	if n == nil {
		return nil
	}
	return ptr(int(*n))
}

func instant(t *time.Time) time.Time { return deref(t) }
