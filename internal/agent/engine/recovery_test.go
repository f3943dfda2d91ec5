package engine

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

func TestControlPlaneAway(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.cp.set(true)
		task := task(essential("app", "exit-after", "1m", "0"))
		r.run(task)
		if r.phase(task, "app") != "running" {
			t.Fatal("not started")
		}
		r.pass(time.Hour)
		r.restart()
		r.pass(time.Hour)
		r.cp.set(false)
		r.pass(time.Minute)
		r.expect(task, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(0)")
	})
	bubble(t, func(t *testing.T, r *rig) { // when it is known to be back, nobody waits for the next try
		r.cp.set(true)
		task := task(essential("app", "serve"))
		r.run(task)
		r.pass(time.Hour)
		r.cp.set(false)
		r.e.RetryNow()
		synctest.Wait()
		r.expect(task, "RUNNING: app=RUNNING")
	})
	bubble(t, func(t *testing.T, r *rig) { // what it refuses is dropped
		r.cp.refuse = true
		task := task(essential("app", "serve"))
		r.run(task)
		r.cp.refuse = false
		r.stopTask(task)
		r.expect(task, "STOPPED: app=STOPPED(0)")
	})
}

func TestRuntimeAway(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		dies, lives, waits := task(essential("app", "serve")), task(essential("app", "serve")), task(essential("app", "serve"))
		r.run(dies, lives)
		r.rt.SetDown(true)
		synctest.Wait()
		r.rt.Exit(containerName(dies, "app"), 4, false)
		r.run(waits) // accepted, not failed
		r.stopTask(lives)
		r.pass(time.Minute)
		r.expect(waits)
		r.rt.SetDown(false)
		r.pass(time.Minute)
		r.expect(dies, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(4)")
		r.expect(lives, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(0)")
		r.expect(waits, "RUNNING: app=RUNNING")
	})
}

func TestRemovedBehindOurBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		task, away := task(essential("app", "serve")), task(essential("app", "serve"))
		r.run(task, away)
		if err := r.rt.RemoveContainer(t.Context(), containerName(task, "app")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.expect(task, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(137)")

		r.kill() // nobody sees this one die
		if err := r.rt.RemoveContainer(t.Context(), containerName(away, "app")); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.expect(away, "RUNNING: app=RUNNING",
			"STOPPED: app=STOPPED [ContainerVanishedError: The container was removed behind the agent's back]")
	})
}

func TestAgentRestart(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		stays, ends := task(essential("app", "serve")), task(essential("app", "serve"))
		slow := task(essential("app", "ignore-term"))
		r.run(stays, ends, slow)
		r.stopTask(slow)
		r.pass(5 * time.Second)
		r.kill()
		r.rt.Exit(containerName(ends, "app"), 5, false)
		r.start()
		r.expect(stays, "RUNNING: app=RUNNING")
		r.expect(ends, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(5)")
		r.pass(time.Minute)
		r.expect(slow, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(137)")
		if n := r.rt.Started(containerName(stays, "app")); n != 1 {
			t.Errorf("started %d times", n)
		}
	})
}

func TestOrphansAreRemoved(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		mine, foreign := task(essential("app", "serve")), task(essential("app", "serve"))
		r.run(mine)
		r.kill()
		for _, o := range []string{owner, "another agent"} {
			rec := NewTask(foreign, 1, time.Now())
			rec.Prepared = &runtime.Prepared{}
			spec := containerSpec(rec, &rec.Containers[0], o)
			spec.Name += o
			id, err := r.rt.CreateContainer(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.rt.StartContainer(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		r.start()
		states := r.rt.States()
		if _, there := states[containerName(foreign, "app")+owner]; there {
			t.Error("the orphan is still there")
		}
		if _, there := states[containerName(foreign, "app")+"another agent"]; !there {
			t.Error("somebody else's container was removed")
		}
		if r.phase(mine, "app") != "running" {
			t.Error("our own container was removed")
		}
	})
}

func TestTeardown(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		app := essential("app", "exit-after", "1h", "0")
		app.MountPoints = []agentlink.MountPoint{{SourceVolume: "scratch", ContainerPath: "/x"}}
		task := task(after(app, "db:START"), sidecar("db", "serve"))
		task.Volumes = []agentlink.Volume{{Name: "scratch"}}
		r.run(task)
		r.kill()

		var err error
		if r.db, err = checkpoint.Open(r.dir, r.config().Log, nil); err != nil {
			t.Fatal(err)
		}
		cfg := r.config()
		cfg.Offline = true
		if n, err := Teardown(t.Context(), cfg); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
		if len(r.rt.States()) != 0 || len(r.rt.Volumes()) != 0 {
			t.Errorf("left behind: %v %v", r.rt.States(), r.rt.Volumes())
		}
		log := r.rt.Log()
		if slices.Index(log, "stop "+containerName(task, "db")) < slices.Index(log, "exit "+containerName(task, "app")) {
			t.Errorf("order: %q", log)
		}
		r.expect(task, "RUNNING: app=RUNNING, db=RUNNING") // nobody to tell yet

		r.start() // whoever comes next on this data directory tells
		got := r.cp.lines(task.ARN)
		if got[len(got)-1] != "STOPPED: app=STOPPED(0), db=STOPPED(0)" {
			t.Errorf("reports: %q", got)
		}
	})
}

func TestNothingIsStartedBeforeItIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var full atomic.Bool
		r.fp = func(string) error {
			if full.Load() {
				return errors.New("no space left on device")
			}
			return nil
		}
		r.start()
		defer r.kill()
		full.Store(true)
		task := task(essential("app", "serve"))
		if r.deliver(task) {
			t.Fatal("acknowledged though it isn't on disk")
		}
		if len(r.rt.States()) != 0 {
			t.Fatal("started though it isn't on disk")
		}
		full.Store(false)
		r.pass(2 * time.Second)
		r.expect(task, "RUNNING: app=RUNNING")
	})
}
