package operations

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
)

func TestAttributes(t *testing.T) {
	s := newCluster(t)
	a := s.Scope.Instance("default", machineA)
	out := ok(s, s.PutAttributes, fmt.Sprintf(`{"attributes":[{"name":"stack","value":"prod","targetId":"%s"},
		{"name":"flag","targetId":"%s","targetType":"container-instance"}]}`, a, machineB))
	b := s.Scope.Instance("default", machineB)
	wantJSON(t, out.Attributes, fmt.Sprintf(`[{"name":"stack","value":"prod","targetId":"%s","targetType":"container-instance"},
		{"name":"flag","targetId":"%s","targetType":"container-instance"}]`, a, b))
	if v := stored(s, state.Instances)[0].Version; v != 2 {
		t.Errorf("version %d", v)
	}
	ok(s, s.PutAttributes, `{"attributes":[{"name":"stack","value":"test","targetId":"`+a+`"}]}`) // replaces
	list := func(input string) any { return ok(s, s.ListAttributes, input).Attributes }
	wantJSON(t, list(`{"targetType":"container-instance","attributeName":"stack"}`), `[{"name":"stack","value":"test","targetId":"`+a+`"}]`)
	wantJSON(t, list(`{"targetType":"container-instance","attributeName":"stack","attributeValue":"prod"}`), `[]`)
	wantJSON(t, list(`{"targetType":"container-instance","attributeName":"ecs.availability-zone","attributeValue":"b"}`),
		`[{"name":"ecs.availability-zone","value":"b","targetId":"`+b+`"}]`)

	// Pages: A has 3 attributes, B too; sorted by name within an instance.
	var names []string
	token := ""
	for range 10 {
		out := ok(s, s.ListAttributes, `{"targetType":"container-instance","maxResults":2`+token+`}`)
		for _, x := range out.Attributes {
			names = append(names, *x.Name)
		}
		if out.NextToken == nil {
			break
		}
		token = `,"nextToken":"` + *out.NextToken + `"`
	}
	if got := strings.Join(names, " "); got != "ecs.availability-zone ecs.cpu-architecture stack ecs.availability-zone ecs.cpu-architecture flag" {
		t.Errorf("pages give %s", got)
	}

	deleted := ok(s, s.DeleteAttributes, `{"attributes":[{"name":"stack","targetId":"`+a+`"},{"name":"nope","targetId":"`+a+`"}]}`)
	wantJSON(t, deleted.Attributes[0], `{"name":"stack","value":"test","targetId":"`+a+`","targetType":"container-instance"}`)
	wantJSON(t, list(`{"targetType":"container-instance","attributeName":"stack"}`), `[]`)

	// An instance that is gone has no attributes, and can't be given any.
	changeInstance(s, machineB, func(ci *ecs.ContainerInstance) { ci.Status = ecs.InstanceInactive })
	wantJSON(t, list(`{"targetType":"container-instance","attributeName":"flag"}`), `[]`)
	refused(s, s.PutAttributes, `{"attributes":[{"name":"x","targetId":"`+b+`"}]}`, "TargetNotFoundException: Could not find "+b)
}

func TestAttributeLimits(t *testing.T) {
	s := newCluster(t)
	a := s.Scope.Instance("default", machineA)
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprintf(`{"name":"n%d","value":"v","targetId":"%s"}`, i, a))
	}
	ok(s, s.PutAttributes, `{"attributes":[`+strings.Join(ten, ",")+`]}`) // the two of ECS's own don't count
	ok(s, s.PutAttributes, `{"attributes":[`+ten[0]+`]}`)
	before := len(stored(s, state.Instances)[0].Attributes)
	const invalid = "InvalidParameterException: "
	put := func(attribute string) string { return `{"attributes":[` + attribute + `]}` }
	for _, c := range []struct{ input, want string }{
		{put(`{"name":"one-more","targetId":"` + a + `"}`), "AttributeLimitExceededException: You can apply up to 10 custom attributes for each resource."},
		// All or none: the first of the two would be a replacement.
		{put(`{"name":"n0","value":"changed","targetId":"` + a + `"},{"name":"one-more","targetId":"` + a + `"}`), "AttributeLimitExceededException: You can apply up to 10 custom attributes for each resource."},
		{put(""), invalid + "Attributes cannot be empty."},
		{put(strings.Join(append(ten, ten[0]), ",")), invalid + "Attributes cannot have more than 10 elements."},
		{put(`{"name":"a b","targetId":"` + a + `"}`), invalid + "Invalid attribute name: a b"},
		{put(`{"name":"` + strings.Repeat("x", 129) + `","targetId":"` + a + `"}`), invalid + "Invalid attribute name: " + strings.Repeat("x", 129)},
		{put(`{"name":"n0","value":" v","targetId":"` + a + `"}`), invalid + "Invalid attribute value:  v"},
		{put(`{"name":"n0","value":"` + strings.Repeat("x", 129) + `","targetId":"` + a + `"}`), invalid + "Invalid attribute value: " + strings.Repeat("x", 129)},
		{put(`{"name":"ecs.availability-zone","value":"x","targetId":"` + a + `"}`), invalid + "Attributes that start with 'ecs.' or 'com.amazonaws.ecs.' are reserved, but one was ecs.availability-zone"},
		{put(`{"name":"n0"}`), invalid + "Attribute targetId cannot be empty."},
		{put(`{"name":"n0","targetId":"` + machineA + `"}`), invalid + "Attribute targetType must be specified when targetId is not a full ARN."},
		{put(`{"name":"n0","targetId":"nope","targetType":"container-instance"}`), "TargetNotFoundException: Could not find nope"},
	} {
		refused(s, s.PutAttributes, c.input, c.want)
	}
	ci := stored(s, state.Instances)[0]
	if v, _ := ci.Attribute("n0"); len(ci.Attributes) != before || v != "v" {
		t.Errorf("something was changed all the same: %v", ci.Attributes)
	}
	refused(s, s.DeleteAttributes, put(`{"name":"ecs.cpu-architecture","targetId":"`+a+`"}`), invalid+"Attributes that start with 'ecs.' or 'com.amazonaws.ecs.' are reserved, but one was ecs.cpu-architecture")
	refused(s, s.ListAttributes, `{"targetType":"container-instance","attributeValue":"v"}`, invalid+"attributeValue can be specified only together with attributeName.")
	refused(s, s.ListAttributes, `{"targetType":"container-instance","cluster":"nope"}`, "ClusterNotFoundException: Cluster not found.")
}
