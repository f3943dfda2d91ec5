package servicesched

import (
	"testing"

	"github.com/openberth/berth/internal/ecs"
)

func TestCheckedHealth(t *testing.T) {
	container := func(essential, checked bool, health string) ecs.Container {
		return ecs.Container{Essential: essential, HealthChecked: checked, HealthStatus: health}
	}
	for _, c := range []struct {
		name       string
		containers []ecs.Container
		want       string
	}{
		{"no check", []ecs.Container{container(true, false, ecs.HealthUnknown)}, ""},
		{"passes", []ecs.Container{container(true, true, ecs.Healthy)}, ecs.Healthy},
		{"has not answered", []ecs.Container{container(true, true, ecs.Healthy), container(true, true, "")}, ecs.HealthUnknown},
		{"the one without a check doesn't matter", []ecs.Container{container(true, false, ecs.HealthUnknown), container(true, true, ecs.Healthy)}, ecs.Healthy},
		{"fails", []ecs.Container{container(true, true, ecs.HealthUnknown), container(true, true, ecs.Unhealthy), container(true, true, ecs.Healthy)}, ecs.Unhealthy},
		{"a helper's failure doesn't matter", []ecs.Container{container(false, true, ecs.Unhealthy), container(true, true, ecs.Healthy)}, ecs.Healthy},
	} {
		if got := taskOf(&ecs.Task{Containers: c.containers}).Health; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
