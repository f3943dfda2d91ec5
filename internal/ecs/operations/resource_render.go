package operations

import (
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
)

// The answers to hot reads point into the records instead of copying them: records never change, and the answer is
// encoded and forgotten.

// field renders a string of a record, absent while empty.
func field(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

// moment renders a time of a record, absent while zero.
func moment(t *time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return t
}

// number renders an amount of a record, absent when it is.
func number(p *int) *int32 {
	if p == nil {
		return nil
	}
	return ptr(int32(*p))
}

// port renders a port, absent while zero.
func port(n int) *int32 {
	if n == 0 {
		return nil
	}
	return ptr(int32(n))
}

func renderAttributes(all []ecs.Attribute) []ecsapi.Attribute {
	w := make([]ecsapi.Attribute, len(all))
	for i := range all {
		a := &all[i]
		w[i] = ecsapi.Attribute{Name: &a.Name, Value: field(&a.Value),
			TargetId: field(&a.TargetID), TargetType: field(&a.TargetType)}
	}
	return w
}
