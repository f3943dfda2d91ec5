// Package control is the control plane's end of the agent protocol: the ACS websocket, which carries orders to an agent, and
// the TCS websocket, which brings its telemetry.
//
// # One session per container instance
//
// An agent that connects to ACS gets a session. The session is an outbox with a wire: it looks at the tasks that the store
// has on the instance and tells the agent of those that it doesn't know yet, until it has acknowledged them.
//
//	store.Watch ──> dispatcher ──(task ids)──> session ── View ──> outbox ── PayloadMessage ──> agent
//	                                             ^                                               │
//	                                             └──────────────── AckRequest ───────────────────┘
//
// It is level-triggered: what is sent depends on what the store says at that moment, never on the change that woke the
// session. So a session that starts (because the agent, the server or the network did) looks at all tasks of the instance
// and needs no memory of the one before it. Delivery is at least once, and agents know a task by its ARN:
//
//	desired RUNNING, last PENDING       the agent may not have it: send it, once a session, until acknowledged
//	desired RUNNING, last RUNNING       the agent said so itself: nothing to send
//	desired STOPPED, last not STOPPED   send it, once a session, until acknowledged
//	last STOPPED                        forget it
//
// The agent answers with the Submit* calls of the API (internal/ecs/operations), not on the websocket.
//
// # Who is connected
//
// AgentConnected is written here only. A session marks it with its own id, and takes it back only while the id is still
// its own, so a late goodbye can't hide an agent that has come back. A sweep, at the start of every term and every half
// minute, takes it back where no session of this server stands behind it: flags that a crashed server left, and goodbyes
// that the store refused.
package control
