package docker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestOutOfMemoryIsHeardOfLate(t *testing.T) {
	for name, test := range map[string]struct {
		during func(o *oomNews)
		want   bool
		took   time.Duration
	}{
		"before": {func(o *oomNews) { o.happened("c") }, true, 0},
		"late": {func(o *oomNews) {
			time.AfterFunc(100*time.Millisecond, func() { o.happened("other"); o.happened("c") })
		}, true, 100 * time.Millisecond},
		"never":        {func(o *oomNews) {}, false, oomWait},
		"stopped":      {func(o *oomNews) { o.expectKill("c") }, false, 0},
		"another life": {func(o *oomNews) { o.happened("c"); o.forget("c") }, false, oomWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o oomNews
				test.during(&o)
				began := time.Now()
				if got := o.killed(t.Context(), "c", began); got != test.want || time.Since(began) != test.took {
					t.Errorf("%v after %v", got, time.Since(began))
				}
				if o.killed(t.Context(), "c", began.Add(-time.Hour)) && !test.want {
					t.Error("an old end is taken for out of memory")
				}
			})
		})
	}
}
