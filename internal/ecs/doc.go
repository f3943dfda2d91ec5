// Package ecs holds ECS's records and the pure rules over them. It knows neither the store nor the wire: the records are
// what internal/ecs/state keeps, and what internal/ecs/operations renders. Records are values that nobody changes once they
// are stored: copy, change the copy, put it back. Each field names who may write it.
package ecs
