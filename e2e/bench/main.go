// Command bench measures Berth from the outside and prints a table: start-up, memory, RunTask against `docker run -d` of the
// same image side by side, and API reads. Ratios are taken within one run, because machines differ.
//
//	make bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// image is what both Berth and docker run start.
const image = "berth-bench/app:1"

func main() {
	runs := flag.Int("runs", 30, "single tasks to start, each paired with one docker run")
	burst := flag.Int("burst", 100, "tasks to start at once")
	stored := flag.Int("stored", 10_000, "tasks stored for the read benchmark")
	only := flag.String("only", "", "one of: start, memory, run, burst, reads")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, *runs, *burst, *stored, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, runs, burst, stored int, only string) error {
	binary := os.Getenv("BERTH_BIN")
	if binary == "" {
		return fmt.Errorf("BERTH_BIN is not set: run `make bench`")
	}
	dir, err := os.MkdirTemp("", "berth-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := buildImage(dir); err != nil {
		return err
	}
	defer exec.Command("docker", "rmi", "-f", image).Run()

	results := &report{}
	for _, b := range []struct {
		name string
		run  func(context.Context, string, string, *report) error
	}{
		{"start", benchStart},
		{"memory", benchMemory},
		{"run", func(ctx context.Context, binary, dir string, r *report) error {
			return benchRunTask(ctx, binary, dir, runs, r)
		}},
		{"burst", func(ctx context.Context, binary, dir string, r *report) error {
			return benchBurst(ctx, binary, dir, burst, r)
		}},
		{"reads", func(ctx context.Context, binary, dir string, r *report) error {
			return benchReads(ctx, binary, dir, stored, r)
		}},
	} {
		if only != "" && only != b.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", b.name)
		sub := filepath.Join(dir, b.name)
		if err := os.Mkdir(sub, 0o700); err != nil {
			return err
		}
		if err := b.run(ctx, binary, sub, results); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	results.print(os.Stdout)
	return nil
}

// buildImage makes an image of the end-to-end tests' program.
func buildImage(dir string) error {
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", app, "./testimage")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the image's program: %w\n%s", err, out)
	}
	layer := filepath.Join(dir, "layer.tar")
	if out, err := exec.Command("tar", "-C", dir, "-cf", layer, "app").CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	if out, err := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/app"]`, layer, image).CombinedOutput(); err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, out)
	}
	return nil
}

// report collects rows: what, measured, target.
type report struct{ rows [][3]string }

func (r *report) add(what, measured, target string) {
	r.rows = append(r.rows, [3]string{what, measured, target})
}

func (r *report) print(w *os.File) {
	rows := append([][3]string{{"WHAT", "MEASURED", "TARGET"}}, r.rows...)
	var width [3]int
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s  %-*s  %-*s", width[0], row[0], width[1], row[1], width[2], row[2]), " "))
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }
