package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// benchStart starts a server on an empty directory, then again on the same one; five times each.
func benchStart(ctx context.Context, binary, dir string, r *report) error {
	var fresh, again []time.Duration
	for n := range 5 {
		sub := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(sub, 0o700); err != nil {
			return err
		}
		for _, d := range []*[]time.Duration{&fresh, &again} {
			c, took, err := startBerth(ctx, binary, sub, "server")
			if err != nil {
				return err
			}
			*d = append(*d, took)
			c.stop()
		}
	}
	r.add("start to first API answer, empty directory", ms(median(fresh)), "< 1000 ms")
	r.add("start to first API answer, again", ms(median(again)), "< 1000 ms")
	return nil
}

// benchMemory lets berth up idle, agent included, and reads its resident memory.
func benchMemory(ctx context.Context, binary, dir string, r *report) error {
	c, _, err := startBerth(ctx, binary, dir, "up", "--foreground")
	if err != nil {
		return err
	}
	defer c.down()
	if err := c.waitAgent(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Second): // a metrics period
	}
	rss, err := c.rss()
	if err != nil {
		return err
	}
	r.add("idle memory of berth up (resident)", fmt.Sprintf("%.0f MiB", float64(rss)/(1<<20)), "< 120 MiB")
	return nil
}
