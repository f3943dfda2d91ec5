package etcd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/etcd"
	"github.com/openberth/berth/internal/store/storetest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
		return
	}
	code := m.Run()
	external.stop()
	os.Exit(code)
}

func startEmbedded(t testing.TB, dir string) *etcd.Backend {
	t.Helper()
	b, err := etcd.Start(t.Context(), etcd.EmbeddedConfig{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func depose(t testing.TB, b store.Backend) {
	if err := b.(*etcd.Backend).Depose(context.Background()); err != nil {
		t.Errorf("depose: %v", err)
	}
}

func TestEmbeddedConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open:   func(t testing.TB) store.Backend { return startEmbedded(t, t.TempDir()) },
		Depose: depose,
	})
}

func TestExternalConformance(t *testing.T) {
	external.start(t)
	storetest.Run(t, storetest.Harness{
		Open:   func(t testing.TB) store.Backend { return external.connect(t) },
		Depose: depose,
	})
}

// externalMember is an etcd process that the tests of this package share, each under its own prefix.
type externalMember struct {
	once     sync.Once
	err      error
	endpoint string
	dir      string
	process  *exec.Cmd
	prefixes atomic.Int64
}

var external externalMember

func (e *externalMember) start(t testing.TB) {
	binary, err := exec.LookPath("etcd")
	if err != nil {
		if os.Getenv("BERTH_REQUIRE_ETCD") == "1" {
			t.Fatal("BERTH_REQUIRE_ETCD=1, but there is no binary `etcd` (Debian: apt-get install etcd-server)")
		}
		t.Skip("there is no binary `etcd` to test against (Debian: apt-get install etcd-server)")
	}
	e.once.Do(func() { e.err = e.run(binary) })
	if e.err != nil {
		t.Fatal(e.err)
	}
}

func (e *externalMember) run(binary string) error {
	ports := make([]string, 2)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		ports[i] = "http://" + l.Addr().String()
		l.Close()
	}
	var err error
	if e.dir, err = os.MkdirTemp("", "berth-etcd-"); err != nil {
		return err
	}
	e.endpoint = ports[0]
	var log bytes.Buffer
	e.process = exec.Command(binary, "--name", "m", "--data-dir", e.dir,
		"--listen-client-urls", ports[0], "--advertise-client-urls", ports[0],
		"--listen-peer-urls", ports[1], "--initial-advertise-peer-urls", ports[1], "--initial-cluster", "m="+ports[1])
	e.process.Stdout, e.process.Stderr = &log, &log
	if err := e.process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := etcd.Connect(ctx, etcd.ExternalConfig{Endpoints: []string{e.endpoint}, Logger: quiet})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return b.Close()
}

func (e *externalMember) stop() {
	if e.process != nil {
		_ = e.process.Process.Kill()
		_ = e.process.Wait()
		_ = os.RemoveAll(e.dir)
	}
}

func (e *externalMember) connect(t testing.TB) *etcd.Backend {
	t.Helper()
	return e.connectTo(t, fmt.Sprintf("/test-%d/", e.prefixes.Add(1)))
}

func (e *externalMember) connectTo(t testing.TB, prefix string) *etcd.Backend {
	t.Helper()
	b, err := etcd.Connect(t.Context(), etcd.ExternalConfig{
		Endpoints: []string{e.endpoint}, Prefix: prefix, TTL: 2 * time.Second, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}
