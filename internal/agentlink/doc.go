// Package agentlink is the protocol between a control plane and the agents on its container instances, exactly as the
// Amazon ECS agent speaks it: the message types of its two websockets (ACS, which carries orders, and TCS, which carries
// telemetry) and their framing. Both ends compile against it: internal/agent is the instance's, internal/agentlink/control
// the control plane's.
//
// Every frame is a text frame that holds an envelope, {"type":"PayloadMessage","message":{...}}. On TCS, what the agent
// sends is preceded by a block of HTTP headers that sign it (see EncodeSigned). Members that are absent and members that
// are zero mean the same, unless the field is a pointer.
//
// Delivery is at least once in both directions: the control plane sends a message again until it is acknowledged, the
// agent acknowledges duplicates again, and a task is known by its ARN alone.
package agentlink
