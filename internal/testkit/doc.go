// Package testkit is a whole cluster in one process, for tests: the control plane on the memory store, and agents that
// have no containers but behave as agents do. It is made for testing/synctest: inside a bubble, hours pass in milliseconds,
// and when synctest.Wait returns, everything that is due has happened.
//
//	Cluster      the control plane; it can be killed and started again on the same state
//	Agent        an agent: takes tasks, pulls, starts, stops and reports, at the pace and with the luck that it is told
//	Invariants   what must hold at every moment, whatever happens
//
// The simulation (simulation_test.go) puts them together: one seed chooses what goes wrong and when.
package testkit
