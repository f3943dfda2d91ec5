package fake

import (
	"testing"

	"github.com/openberth/berth/internal/agent/runtime/runtimetest"
)

func TestConformance(t *testing.T) {
	runtimetest.Run(t, runtimetest.Subject{Runtime: New("probe:1"), Image: "probe:1"})
}
