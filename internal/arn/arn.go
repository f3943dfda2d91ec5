// Package arn forms and parses the Amazon Resource Names and ids of ECS resources (long formats only; the short ones
// are read, never written). Source: ecs-semantics 1.1.
package arn

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// Scope is where a resource lives: partition, region and account are the same for everything that one server holds.
type Scope struct {
	Partition string // "aws"
	Region    string // "us-east-1"
	Account   string // "123456789012"
}

// ARN is a parsed ARN.
type ARN struct {
	Scope
	Service  string // "ecs"
	Type     string // "task"; what stands before the first '/' of the resource
	Resource string // what follows: "default/0123..."
}

func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Type + "/" + a.Resource
}

// Parse reads an ARN of the form arn:partition:service:region:account:type/resource.
func Parse(s string) (ARN, bool) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" {
		return ARN{}, false
	}
	typ, res, ok := strings.Cut(p[5], "/")
	if !ok || typ == "" || res == "" {
		return ARN{}, false
	}
	return ARN{Scope{p[1], p[3], p[4]}, p[2], typ, res}, true
}

// IsARN tells an ARN from a name or an id.
func IsARN(s string) bool { return strings.HasPrefix(s, "arn:") }

func (s Scope) ecs(typ, resource string) string {
	return ARN{Scope: s, Service: "ecs", Type: typ, Resource: resource}.String()
}

func (s Scope) Cluster(name string) string          { return s.ecs("cluster", name) }
func (s Scope) Task(cluster, id string) string      { return s.ecs("task", cluster+"/"+id) }
func (s Scope) Service(cluster, name string) string { return s.ecs("service", cluster+"/"+name) }
func (s Scope) Instance(cluster, id string) string {
	return s.ecs("container-instance", cluster+"/"+id)
}
func (s Scope) CapacityProvider(name string) string { return s.ecs("capacity-provider", name) }
func (s Scope) TaskDefinition(family string, revision int) string {
	return s.ecs("task-definition", fmt.Sprintf("%s:%d", family, revision))
}

// Container is the ARN of one container of a task; id is a UUID.
func (s Scope) Container(cluster, taskID, id string) string {
	return s.ecs("container", cluster+"/"+taskID+"/"+id)
}

// Root is the ARN of the account's root user.
func (s Scope) Root() string { return "arn:" + s.Partition + ":iam::" + s.Account + ":root" }

// Last returns the last '/'-separated element of an ARN, or the whole of a plain name: the id or the name that the
// resource is known by inside its cluster.
func Last(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// NewID makes the 32 hexadecimal digits that long-format tasks and container instances are named by.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24: the runtime aborts instead
	return hex.EncodeToString(b[:])
}

// NewUUID makes a random (version 4) UUID, as containers, attachments and service events are named by.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// NewDeploymentID makes a deployment's id, "ecs-svc/" and 19 digits; the tasks of the deployment carry it as startedBy.
func NewDeploymentID() string {
	lo := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil) // the first of the 19-digit numbers
	n, err := rand.Int(rand.Reader, new(big.Int).Sub(big.NewInt(1<<63-1), lo))
	if err != nil {
		panic(err) // as NewID: no randomness, no safe way on
	}
	return "ecs-svc/" + n.Add(n, lo).String()
}
