// Package ecsapi has the wire types of Amazon ECS, generated from api/models/ecs.json and patches.json by tools/apigen.
//
// # Types
//
// Every operation has an Input and an Output, empty ones included. A nil pointer, list or map is an absent member; an
// empty list is one that is there. Enums are plain strings with named constants. Everything reads and writes JSON by
// itself (AppendJSON, DecodeJSON; MarshalJSON and UnmarshalJSON call those), with times as seconds since the epoch, to the
// millisecond; RFC 3339 is read as well. HookDetails, the one member that the API doesn't describe, is raw JSON.
//
// The var that describes the service is API, not Service, because Service is a shape of ECS.
//
// # Validation
//
// Input.Validate checks what the model says: required members, enums, lengths, ranges and patterns. ECS itself does most
// of that in its handlers, in many different words; public logs of live ECS show no answer of AWS's validation framework.
// So: where ECS's own words are known, patches.json has them and they are the answer ("Family can not be blank.", "Services
// cannot be empty.", "launch type should be one of [...]"). Everywhere else the answer is the framework's
// ("1 validation error detected: Value null at 'task' failed to satisfy constraint: Member must not be null"), with all
// problems in one, under InvalidParameterException, which every operation of ECS declares;
// RegisterTaskDefinition answers ClientException, as it does for everything it finds wrong with a definition. What the
// model leaves open (Container.name, Container.image) and whatever depends on more than one member is the domain's.
package ecsapi

//go:generate go run ../../tools/apigen -root ../..
