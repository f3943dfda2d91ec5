package memory_test

import (
	"testing"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
	"github.com/openberth/berth/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	for name, tell := range map[string]bool{"leaders are told": true, "leaders find out": false} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				Open:   func(testing.TB) store.Backend { return memory.New() },
				Bubble: true,
				Depose: func(_ testing.TB, b store.Backend) { b.(*memory.Backend).Depose(tell) },
			})
		})
	}
}
