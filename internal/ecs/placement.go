package ecs

// Placement constraint and strategy types (ecs-semantics 4).
const (
	ConstraintDistinctInstance = "distinctInstance"
	ConstraintMemberOf         = "memberOf"

	StrategyRandom  = "random"
	StrategySpread  = "spread"
	StrategyBinpack = "binpack"
)

// PlacementConstraint binds: an instance that doesn't satisfy it is never used.
type PlacementConstraint struct {
	Type       string `json:"type,omitzero"`
	Expression string `json:"expression,omitzero"` // cluster query language; memberOf only
}

// PlacementStrategy ranks the instances that pass; each later strategy breaks the ties of the one before.
type PlacementStrategy struct {
	Type  string `json:"type,omitzero"`
	Field string `json:"field,omitzero"` // "attribute:<name>", "instanceId", "host", "cpu", "memory"
}

// CapacityProviderStrategyItem gives a capacity provider its share of the tasks.
type CapacityProviderStrategyItem struct {
	CapacityProvider string `json:"capacityProvider"`
	Weight           *int   `json:"weight,omitzero"`
	Base             *int   `json:"base,omitzero"`
}

// NetworkConfiguration says where a task of network mode awsvpc has its interface.
type NetworkConfiguration struct {
	AwsvpcConfiguration *AwsvpcConfiguration `json:"awsvpcConfiguration,omitzero"`
}

// AwsvpcConfiguration are the subnets and security groups of the task's interface.
type AwsvpcConfiguration struct {
	Subnets        []string `json:"subnets"`
	SecurityGroups []string `json:"securityGroups,omitzero"`
	AssignPublicIP string   `json:"assignPublicIp,omitzero"`
}
