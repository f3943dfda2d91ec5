package placement

import (
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Limits of one request (ecs-semantics 1.4); constraints are counted together with the task definition's.
const (
	MaxConstraints = 10
	MaxStrategies  = 5
)

// CheckConstraints refuses constraints that can't be read.
func CheckConstraints(constraints []ecs.PlacementConstraint) error {
	if len(constraints) > MaxConstraints {
		return fault.InvalidParameter("The number of placement constraints cannot exceed %d.", MaxConstraints)
	}
	for _, c := range constraints {
		switch c.Type {
		case ecs.ConstraintDistinctInstance:
			if c.Expression != "" {
				return fault.InvalidParameter("An expression cannot be specified with the distinctInstance placement constraint.")
			}
		case ecs.ConstraintMemberOf:
			if c.Expression == "" {
				return fault.InvalidParameter("The memberOf placement constraint requires an expression.")
			}
			if err := CheckQuery(c.Expression); err != nil {
				return err
			}
		default:
			return fault.InvalidParameter("Placement constraint type should be one of [distinctInstance, memberOf].")
		}
	}
	return nil
}

// CheckQuery refuses an expression that can't be read.
func CheckQuery(expression string) error {
	if _, err := ParseQuery(expression); err != nil {
		return fault.InvalidParameter("Invalid expression '%s': %s.", expression, err)
	}
	return nil
}

// CheckStrategy refuses strategies that mean nothing.
func CheckStrategy(strategy []ecs.PlacementStrategy) error {
	if len(strategy) > MaxStrategies {
		return fault.InvalidParameter("The number of placement strategies cannot exceed %d.", MaxStrategies)
	}
	for _, s := range strategy {
		switch s.Type {
		case ecs.StrategyRandom:
			if s.Field != "" {
				return fault.InvalidParameter("A field cannot be specified with the random placement strategy.")
			}
		case ecs.StrategySpread:
			attribute, isAttribute := strings.CutPrefix(s.Field, attributePrefix)
			if s.Field != "instanceId" && s.Field != "host" && !(isAttribute && attribute != "") {
				return fault.InvalidParameter("The field '%s' is not valid for the spread placement strategy: use instanceId, host or attribute:<name>.", s.Field)
			}
		case ecs.StrategyBinpack:
			if !strings.EqualFold(s.Field, "cpu") && !strings.EqualFold(s.Field, "memory") {
				return fault.InvalidParameter("The field '%s' is not valid for the binpack placement strategy: use cpu or memory.", s.Field)
			}
		default:
			return fault.InvalidParameter("Placement strategy type should be one of [random, spread, binpack].")
		}
	}
	return nil
}
