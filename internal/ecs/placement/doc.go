// Package placement decides on which container instance a task runs, and which task of a service is stopped first. It is
// pure: what it may depend on stands in its arguments, and the order of its inputs never matters.
//
//	instances ── filters ──> those that can take the task ── scorers, in order ──> those that suit best ── seed ──> one
//	                │
//	                └── a Rejection each, which becomes failures[], the service event and the explanation
//
// A filter is binding and explains itself; a scorer is best effort. A new filter is one entry in the list in filter.go, a
// new strategy one case in score.go.
//
// A worked example: a task of 512 CPU units that spreads over the zones, and three instances:
//
//	A  zone a, 256 units free                     rejected: RESOURCE:CPU
//	B  zone a, 1024 free, 2 tasks of the service  the zone has 2 + those on A
//	C  zone b, 1024 free, 1 task of the service   the zone has 1: C it is
package placement
