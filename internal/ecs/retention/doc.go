// Package retention forgets what has ended: STOPPED tasks, INACTIVE container instances, INACTIVE services with their events, and
// INACTIVE deployments. All stay describable for a while, as on AWS (at least an hour for a stopped task, ecs-semantics
// 3.1), and then they are gone: a store that only grows is a store that fills up.
//
// The events of a living service need no sweep: the service scheduler keeps the newest 100 as it writes them.
package retention
