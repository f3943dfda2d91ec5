package ecs

// Tag is a key and a value that the user attached to a resource.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Attribute is a name, and perhaps a value, that a container instance has or a task requires.
type Attribute struct {
	Name       string `json:"name"`
	Value      string `json:"value,omitzero"`
	TargetType string `json:"targetType,omitzero"`
	TargetID   string `json:"targetId,omitzero"`
}
