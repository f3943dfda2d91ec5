package operations

import (
	"context"
	"math/rand/v2"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// maxRunTaskCount is how many tasks one RunTask may start; clients cut their work into pieces of this size.
const maxRunTaskCount = 10

// RunTask places and starts up to ten copies of a task definition. What finds no room is a failure in the answer, not an
// error.
func (s *Service) RunTask(ctx context.Context, in *ecsapi.RunTaskInput) (*ecsapi.RunTaskOutput, error) {
	req, err := s.runTaskRequest(in)
	if err != nil {
		return nil, err
	}
	var out *ecsapi.RunTaskOutput
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		out, err = s.runTask(tx, in, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// runTask is RunTask's transaction.
func (s *Service) runTask(tx *store.Tx, in *ecsapi.RunTaskInput, req *taskRequest) (*ecsapi.RunTaskOutput, error) {
	cluster, err := s.activeCluster(tx, in.Cluster)
	if err != nil {
		return nil, err
	}
	if earlier := tasksOfToken(tx, cluster.Name, req.token); len(earlier) > 0 {
		return s.repeatedRunTask(tx, earlier, req)
	}
	td, err := s.launchable(tx, in.TaskDefinition, in.NetworkConfiguration, req)
	if err != nil {
		return nil, err
	}
	req.launch.LaunchType, err = launchType(cluster, td, in.LaunchType, in.CapacityProviderStrategy)
	if err != nil {
		return nil, err
	}
	place := placement.Request{RequiresAttributes: td.RequiresAttributes, Platform: td.RuntimePlatform, Strategy: req.strategy, Seed: rand.Uint64()}
	place.Constraints = append(append(place.Constraints, td.PlacementConstraints...), req.constraints...)
	if len(place.Constraints) > placement.MaxConstraints {
		return nil, fault.InvalidParameter("The number of placement constraints cannot exceed %d.", placement.MaxConstraints)
	}
	all := instances(tx, cluster.Name)
	out := &ecsapi.RunTaskOutput{Failures: []ecsapi.Failure{}, Tasks: []ecsapi.Task{}}
	tr := s.taskRenderer(tx, true)
	for range req.count {
		task := s.newTask(cluster, td, req)
		place.Task = task
		d := placement.Place(place, all)
		if d.Instance == "" {
			if len(d.Rejections) == 0 {
				return nil, fault.InvalidParameter(placement.NoInstances) // nothing is placed: the transaction fails
			}
			// One entry for each instance, as AWS has it. The copies are alike: the next wouldn't fit either.
			for _, r := range d.Rejections {
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(s.Scope.Instance(cluster.Name, r.Instance)), Reason: &r.Reason})
			}
			break
		}
		for _, chosen := range all {
			if chosen.Record.ID == d.Instance {
				task = task.On(chosen.Record)
				chosen.Add(task) // its tasks were read when it was chosen, so this one isn't read again after Put
				break
			}
		}
		state.Tasks.Put(tx, task)
		out.Tasks = append(out.Tasks, tr.render(task))
	}
	return out, nil
}

// taskRequest is what RunTask and StartTask ask for, read and checked as far as that needs no store.
type taskRequest struct {
	count       int
	token, hash string
	launch      ecs.Launch
	managedTags bool
	copyTags    bool // from the task definition
	constraints []ecs.PlacementConstraint
	strategy    []ecs.PlacementStrategy
}

func (s *Service) runTaskRequest(in *ecsapi.RunTaskInput) (*taskRequest, error) {
	req := &taskRequest{count: 1, token: deref(in.ClientToken)}
	if in.Count != nil {
		req.count = int(*in.Count)
	}
	if req.count < 1 || req.count > maxRunTaskCount {
		return nil, fault.InvalidParameter("count must be between 1 and %d, but was %d", maxRunTaskCount, req.count)
	}
	if err := firstError(
		checkClientToken(in.ClientToken, maxRunTaskToken),
		checkPlatform(in.PlatformVersion),
		refuse(len(in.VolumeConfigurations) > 0, "volumeConfigurations"),
		refuse(deref(in.EnableExecuteCommand), "enableExecuteCommand"),
	); err != nil {
		return nil, err
	}
	var err error
	if req.constraints, err = convert[[]ecs.PlacementConstraint](in.PlacementConstraints); err != nil {
		return nil, err
	}
	if req.strategy, err = convert[[]ecs.PlacementStrategy](in.PlacementStrategy); err != nil {
		return nil, err
	}
	if err := firstError(placement.CheckConstraints(req.constraints), placement.CheckStrategy(req.strategy)); err != nil {
		return nil, err
	}
	if req.token != "" {
		same := *in
		same.ClientToken = nil
		if req.hash, err = requestHash(&same); err != nil {
			return nil, err
		}
	}
	return req, s.readLaunch(req, in.Overrides, in.Group, in.StartedBy, in.Tags, in.PropagateTags, in.EnableECSManagedTags)
}

// readLaunch reads what RunTask and StartTask have in common.
func (s *Service) readLaunch(req *taskRequest, o *ecsapi.TaskOverride, group, startedBy *string, tags []ecsapi.Tag, propagate *ecsapi.PropagateTags, managed *bool) error {
	if err := checkStartedBy(startedBy); err != nil {
		return err
	}
	if deref(propagate) == ecs.PropagateService {
		return fault.InvalidParameter("propagateTags SERVICE is not valid for a task that no service starts. Use TASK_DEFINITION or NONE.")
	}
	var err error
	if req.launch.Overrides, err = overrides(o); err != nil {
		return err
	}
	if req.launch.Tags, err = newTags(tags); err != nil {
		return err
	}
	req.launch.Group, req.launch.StartedBy = deref(group), deref(startedBy)
	req.launch.ClientToken, req.launch.RequestHash = req.token, req.hash
	req.copyTags, req.managedTags = deref(propagate) == ecs.PropagateTaskDefinition, deref(managed)
	req.launch.Now = s.now()
	return nil
}

// launchable resolves the task definition, and refuses what can't be run of it.
func (s *Service) launchable(r store.Reader, ref *string, network *ecsapi.NetworkConfiguration, req *taskRequest) (*ecs.TaskDefinition, error) {
	td, err := s.taskDefinition(r, deref(ref))
	if err != nil {
		return nil, err
	}
	return td, firstError(
		checkGroup(text(req.launch.Group), td),
		checkOverrides(td, req.launch.Overrides),
		checkNetwork(td, network),
		definition.Refuse(td),
	)
}

// newTask makes the next task of the request.
func (s *Service) newTask(cluster *ecs.Cluster, td *ecs.TaskDefinition, req *taskRequest) *ecs.Task {
	l := req.launch
	l.ID, l.Cluster, l.Definition = arn.NewID(), cluster.Name, td
	var source []ecs.Tag
	if req.copyTags {
		source = td.Tags
	}
	l.Tags = ecs.TaskTags(l.Tags, source, req.managedTags, cluster.Name, "")
	return ecs.NewTask(l)
}

// tasksOfToken are the tasks that an earlier request with the same client token started.
func tasksOfToken(r store.Reader, cluster, token string) (tasks []*ecs.Task) {
	if token == "" {
		return nil
	}
	for t := range state.TasksByToken.Each(r, cluster+"/"+token) {
		tasks = append(tasks, t)
	}
	return tasks
}

// repeatedRunTask answers a request whose client token was used before: with the tasks of that time, or, when it asks for
// something else now, with a conflict.
func (s *Service) repeatedRunTask(r store.Reader, earlier []*ecs.Task, req *taskRequest) (*ecsapi.RunTaskOutput, error) {
	out := &ecsapi.RunTaskOutput{Failures: []ecsapi.Failure{}, Tasks: []ecsapi.Task{}}
	tr := s.taskRenderer(r, true)
	var arns []string
	same := true
	for _, t := range earlier {
		arns = append(arns, s.Scope.Task(t.Cluster, t.ID))
		same = same && t.RequestHash == req.hash
		out.Tasks = append(out.Tasks, tr.render(t))
	}
	if same {
		return out, nil
	}
	f := fault.New("ConflictException", "The clientToken was already used for a RunTask request with different parameters.")
	f.Details = map[string]any{"resourceIds": arns}
	return nil, f
}
