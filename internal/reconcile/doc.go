// Package reconcile is the one control loop that every controller runs in.
//
// A controller is a function that looks at one object, known by its key, and brings it one step nearer to where it should
// be. The loop decides when that function runs:
//
//	changes in the store ──> keys ──> queue (each key at most once) ──> N workers ──> Reconcile(ctx, key)
//	                                     ^                                               │
//	                                     ├── at "wake", which Reconcile returned ────────┤
//	                                     └── after a growing pause, when it failed ──────┘
//
// It is level-triggered: a key says "look again", never what has happened. So keys may be merged, repeated and delivered
// late, and a loop that starts gets every key once, which repairs whatever the loop before it left half done.
//
//   - One key is never worked on by two workers at once. A key that is added while it is being worked on is worked on once
//     more afterwards: the change may have come too late for the pass that is running.
//   - A wake time holds until the next pass over the key, which returns a new one (or none).
//   - An error is logged here, once. The key is tried again after MinBackoff, then twice that, and so on to MaxBackoff. A
//     change in the store doesn't wait for the pause.
//   - A panic is an error of that key: one bad record must not stop the work on all others.
package reconcile
