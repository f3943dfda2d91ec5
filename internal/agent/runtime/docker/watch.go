package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/openberth/berth/internal/agent/runtime"
)

// Watch implements runtime.Observer.
func (r *Runtime) Watch(ctx context.Context, owner string, ready func(), event func(runtime.Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Every run of a health check makes three exec events: the filter keeps the daemon from sending them.
	//
	// Since: the daemon sends its answer's head before it subscribes; what happens in between comes from its memory.
	now := time.Now()
	stream := r.api.Events(ctx, client.EventsListOptions{Since: fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()),
		Filters: ownedBy(owner).Add("type", string(events.ContainerEventType)).
			Add("event", string(events.ActionDie), string(events.ActionDestroy), string(events.ActionHealthStatus), string(events.ActionOOM))})
	select {
	case err := <-stream.Err:
		return gone(err)
	default:
	}
	if _, err := r.Info(ctx); err != nil { // after a restart it may be another daemon
		return err
	}
	ready()
	for {
		select {
		case m := <-stream.Messages:
			switch m.Action {
			case events.ActionOOM:
				r.oom.happened(m.Actor.ID)
			case events.ActionDestroy:
				r.oom.forget(m.Actor.ID)
			}
			if ev, ok := translateEvent(m); ok {
				event(ev)
			}
		case err := <-stream.Err:
			return gone(err)
		}
	}
}

func gone(err error) error {
	if err == nil {
		err = errors.New("event stream ended")
	}
	return errors.Join(runtime.ErrUnavailable, err)
}

func translateEvent(m events.Message) (runtime.Event, bool) {
	ev := runtime.Event{ContainerID: m.Actor.ID, TaskARN: m.Actor.Attributes[runtime.LabelTask],
		ContainerName: m.Actor.Attributes[runtime.LabelContainer], Time: time.Unix(0, m.TimeNano)}
	switch action := string(m.Action); {
	case action == string(events.ActionDie):
		ev.Kind = runtime.Died
		ev.ExitCode, _ = strconv.Atoi(m.Actor.Attributes["exitCode"])
	case action == string(events.ActionDestroy):
		ev.Kind = runtime.Destroyed
	case strings.HasPrefix(action, string(events.ActionHealthStatus)):
		ev.Kind = runtime.HealthChanged
		_, status, _ := strings.Cut(action, ": ")
		ev.Health = health(container.HealthStatus(status))
	default:
		return ev, false
	}
	return ev, true
}

// Stats implements runtime.Observer.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	res, err := r.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return runtime.Stats{}, translate(err)
	}
	defer res.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return runtime.Stats{}, translate(err)
	}
	out := runtime.Stats{At: s.Read, CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Memory: int64(s.MemoryStats.Usage)}
	if out.At.IsZero() {
		return out, runtime.ErrNotFound // it has ended
	}
	// The page cache isn't the program's; cgroup v1 and v2 call what can be dropped of it by different names.
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := s.MemoryStats.Stats[name]; ok {
			out.Memory = max(0, out.Memory-int64(cache))
			break
		}
	}
	for _, n := range s.Networks {
		out.NetworkSeen = true
		add(&out.Rx, n.RxBytes, n.RxPackets, n.RxErrors, n.RxDropped)
		add(&out.Tx, n.TxBytes, n.TxPackets, n.TxErrors, n.TxDropped)
	}
	for _, b := range s.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(b.Op) {
		case "read":
			out.Read += int64(b.Value)
		case "write":
			out.Wrote += int64(b.Value)
		}
	}
	return out, nil
}

func add(t *runtime.Traffic, bytes, packets, errors, dropped uint64) {
	t.Bytes += int64(bytes)
	t.Packets += int64(packets)
	t.Errors += int64(errors)
	t.Dropped += int64(dropped)
}
