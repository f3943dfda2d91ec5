package placement

import (
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// Request is a task that wants an instance.
type Request struct {
	Task               *ecs.Task // Reserved, Group and Service count
	RequiresAttributes []ecs.Attribute
	Platform           *ecs.RuntimePlatform      // the task definition's; nil: any machine
	Constraints        []ecs.PlacementConstraint // the task definition's and the service's or RunTask's
	Strategy           []ecs.PlacementStrategy   // none: see DefaultStrategy
	Seed               uint64                    // chooses between equals, together with the task's id
}

// Decision is where the task goes, or why it goes nowhere.
type Decision struct {
	Instance   string      // id; "" when none fits
	Rejections []Rejection // those that were found not to fit, in the order of their ids; all ACTIVE ones when none fits
}

// Rejection is why an instance can't take the task.
type Rejection struct {
	Instance string
	Reason   string // as failures[] has it: "RESOURCE:CPU"
	filter   int    // position in filters: the further, the closer it came
}

// Place decides on which instance the task runs.
func Place(req Request, instances []*Instance) Decision {
	r := prepare(req)
	random := r.Strategy[0].Type == ecs.StrategyRandom
	if random {
		// By lot from the start: the first that fits, in the order of the lots, is the one, and the others needn't be looked at.
		instances = r.byLot(instances)
	}
	var d Decision
	var fit []*Instance
	for _, in := range instances {
		if random && len(fit) > 0 {
			break
		}
		if !in.active() {
			continue // as if it weren't there: that is what draining means
		}
		if rejection, ok := r.check(in, len(filters)); !ok {
			d.Rejections = append(d.Rejections, rejection)
			continue
		}
		fit = append(fit, in)
	}
	slices.SortFunc(d.Rejections, func(a, b Rejection) int { return strings.Compare(a.Instance, b.Instance) })
	if best := choose(r, fit, instances); best != nil {
		d.Instance = best.Record.ID
	}
	return d
}

// Check tells whether one instance can take the task, as Place does for all of them; an instance that isn't ACTIVE
// can't, for the reason that is its status.
func Check(req Request, in *Instance) (Rejection, bool) {
	if !in.active() {
		return Rejection{Instance: in.Record.ID, Reason: in.Record.Status}, false
	}
	return prepare(req).check(in, len(filters))
}

// Fits tells whether the instance has the room for the task and a connected agent, whatever the constraints and
// strategies say: what StartTask asks.
func Fits(req Request, in *Instance) (Rejection, bool) {
	return Check(Request{Task: req.Task, RequiresAttributes: req.RequiresAttributes, Platform: req.Platform}, in)
}

// Matches tells whether an instance is one that the task is meant for (ACTIVE, attributes and memberOf satisfied),
// whether or not it has the room and a connected agent just now. A DAEMON service wants a task on each such instance.
func Matches(req Request, in *Instance) bool {
	if !in.active() {
		return false
	}
	_, ok := prepare(req).check(in, matching)
	return ok
}

// check runs the first n filters.
func (r *request) check(in *Instance, n int) (Rejection, bool) {
	for i := range filters[:n] {
		if !filters[i].check(r, in) {
			return Rejection{Instance: in.Record.ID, Reason: filters[i].reason, filter: i}, false
		}
	}
	return Rejection{}, true
}

// Explain says why nothing fits, in the words that stand inside the service event (ecs-semantics 6.5); "" when
// something does.
func (d Decision) Explain() string {
	if d.Instance != "" {
		return ""
	}
	if len(d.Rejections) == 0 {
		return "Reason: " + NoInstances
	}
	closest := slices.MaxFunc(d.Rejections, func(a, b Rejection) int { return a.filter - b.filter }) // the first of equals
	return "The closest matching (container-instance " + closest.Instance + ") " + filters[closest.filter].Explain() + "."
}

// NoInstances is what ECS says when a cluster has no instance that may take tasks.
const NoInstances = "No Container Instances were found in your cluster."

// Event is the service event that a decision deserves which found no instance.
func (d Decision) Event(service string) string {
	return "(service " + service + ") was unable to place a task because no container instance met all of its requirements. " +
		d.Explain() + " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
}
