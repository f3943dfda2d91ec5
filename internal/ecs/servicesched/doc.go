// Package servicesched is the service scheduler: it starts and stops the tasks of services, rolls out deployments, and says
// in service events what it did and what keeps it from its goal.
//
//	store ──> World ──> Decide ──> Plan ──> one transaction: place and create, ask to stop, write events
//
// Decide is pure. What a plan does goes into the store in one transaction, in which the world was read again: a crash
// between two lines loses nothing and starts nothing twice.
//
// # The vocabulary
//
// A task of the service that hasn't STOPPED is, first, one of
//
//	stopping   it was asked to stop
//	coming up  it is to run, but isn't RUNNING yet
//	warming    it is RUNNING, but isn't known to be well yet: 40 seconds without a health check, or the check hasn't passed
//	healthy    it is RUNNING and well
//	unhealthy  its health check fails, and the grace period is over
//
// and second, unless it is stopping, one of
//
//	keeper   what the service wants: of the PRIMARY deployment, not unhealthy, not on a DRAINING instance
//	sick     of the PRIMARY deployment and unhealthy
//	leaving  of an older deployment, or on a DRAINING instance
//
// # The rules for a REPLICA service
//
// D is the desired count; floor = D x minimumHealthyPercent, rounded up; ceiling = D x maximumPercent, rounded down.
//
//	start   while keepers < D and all tasks, stopping ones included, < ceiling
//	stop    leaving tasks that are coming up: at once, they serve nobody
//	        leaving tasks that are healthy: while the healthy ones that remain, of all deployments, are >= floor
//	        leaving tasks that are unhealthy or warming: once the healthy ones are >= floor
//	        sick tasks: once a replacement is healthy; one at a time before that, when the ceiling leaves no room for one
//	        keepers beyond D: those first that matter least
//
// Example: 4 tasks, min 50 %, max 150 %, floor 2, ceiling 6, a new deployment comes. First pass: 2 new ones start
// (4+2 = 6), 2 old ones are stopped (4-2 = 2 healthy). When those have STOPPED, 2 more start (2+2+2 = 6). When the
// first 2 new ones are healthy, the last 2 old ones go.
//
// # The rules for a DAEMON service
//
// One task on each ACTIVE instance that the placement constraints match. On each instance the old task stops first, within
// the floor, and once it has STOPPED the new one starts: there are never two.
package servicesched
