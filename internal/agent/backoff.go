package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff grows from min to max by factor, with up to a fifth on top so that agents don't march in step.
type backoff struct {
	min, max time.Duration
	factor   float64
	current  time.Duration
}

func newBackoff(min, max time.Duration, factor float64) *backoff {
	return &backoff{min: min, max: max, factor: factor}
}

func (b *backoff) next() time.Duration {
	if b.current == 0 {
		b.current = b.min
	} else {
		b.current = min(time.Duration(float64(b.current)*b.factor), b.max)
	}
	return time.Duration(float64(b.current) * (1 + 0.2*rand.Float64()))
}

func (b *backoff) reset() { b.current = 0 }

// sleep waits and tells whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
