// Package e2e drives the real berth binary with the real AWS CLI against real containers. The scripts in testdata/script
// are its tests and its documentation: each stands for something that a user does.
package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// testImage is the image of ./testimage; built once a run.
const testImage = "berth-e2e/app:1"

// berthBinary is the binary under test: $BERTH_BIN, as make e2e sets it.
var berthBinary string

func TestMain(m *testing.M) {
	code, err := func() (int, error) {
		dir, err := os.MkdirTemp("", "berth-e2e-")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		if berthBinary = os.Getenv("BERTH_BIN"); berthBinary == "" {
			berthBinary = filepath.Join(dir, "berth")
			if err := run("go", "build", "-C", "..", "-o", berthBinary, "./cmd/berth"); err != nil {
				return 1, err
			}
		}
		if err := buildTestImage(dir); err != nil {
			return 1, err
		}
		defer exec.Command("docker", "rmi", "-f", testImage).Run()
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.Exit(code)
}

// buildTestImage makes an image of one static program: no registry is needed.
func buildTestImage(dir string) error {
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", app, "./testimage")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the test image's program: %w\n%s", err, out)
	}
	layer := filepath.Join(dir, "layer.tar")
	if err := run("tar", "-C", dir, "-cf", layer, "app"); err != nil {
		return err
	}
	// An image of an earlier run that was cut off would be left without a name.
	exec.Command("docker", "rmi", "-f", testImage).Run()
	return run("docker", "import", "--change", `ENTRYPOINT ["/app"]`, layer, testImage)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"eventually": eventually,
			"always":     always,
			"setenv":     setenv,
		},
		RequireExplicitExec: true,
	})
}

// setup gives a script a cluster of its own: a data directory, a port, a name for its containers to be told by, and the
// commands berth, aws and docker. Whatever the script leaves running is taken down after it.
func setup(env *testscript.Env) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	bin := filepath.Join(env.WorkDir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(berthBinary, filepath.Join(bin, "berth")); err != nil {
		return err
	}
	endpoint := fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := writeAWS(filepath.Join(bin, "aws"), endpoint); err != nil {
		return err
	}
	data := filepath.Join(env.WorkDir, "data")
	env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("BERTH_DATA_DIR", data)
	env.Setenv("BERTH_LISTEN", fmt.Sprintf("127.0.0.1:%d", port))
	env.Setenv("BERTH_SCHEDULER_HEALTHY_AFTER", "2s") // 40 s on AWS: the rule is the same, the wait is not the test's point
	env.Setenv("ENDPOINT", endpoint)
	env.Setenv("IMAGE", testImage)
	env.Defer(func() {
		down := exec.Command(berthBinary, "down", "--delete-data")
		down.Env = append(os.Environ(), "BERTH_DATA_DIR="+data, "BERTH_LISTEN=127.0.0.1:"+fmt.Sprint(port))
		if out, err := down.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "berth down: %v\n%s", err, out)
		}
	})
	return nil
}

// writeAWS writes an aws command that finds the endpoint even when the CLI is too old for AWS_ENDPOINT_URL (Debian's is),
// and that reads the keys of the script's cluster, as `eval "$(berth env)"` would have set them.
func writeAWS(path, endpoint string) error {
	real, err := exec.LookPath("aws")
	if err != nil {
		return fmt.Errorf("the AWS CLI is needed: %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\neval \"$('%s' env)\"\nexec '%s' --endpoint-url '%s' \"$@\"\n", berthBinary, real, endpoint)
	return os.WriteFile(path, []byte(script), 0o755)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// eventually DURATION PATTERN COMMAND [ARGS...] runs the command until its output matches the pattern; with ! until it
// no longer does. The last output is kept for a following stdout command.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	patience, pattern, cmd := watchArgs(ts, args)
	deadline := time.Now().Add(patience)
	for {
		out, err := output(ts, cmd)
		if err == nil && pattern.MatchString(out) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %s, %s still prints:\n%s(%v)", patience, strings.Join(cmd, " "), out, err)
		}
		time.Sleep(100 * time.Millisecond) // another process's state: there is no event to wait for
	}
}

// always DURATION PATTERN COMMAND [ARGS...] runs the command again and again, and fails when its output doesn't match once.
func always(ts *testscript.TestScript, neg bool, args []string) {
	d, pattern, cmd := watchArgs(ts, args)
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		out, err := output(ts, cmd)
		if err != nil || pattern.MatchString(out) == neg {
			ts.Fatalf("%s prints:\n%s(%v)", strings.Join(cmd, " "), out, err)
		}
	}
}

func watchArgs(ts *testscript.TestScript, args []string) (time.Duration, *regexp.Regexp, []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: DURATION PATTERN COMMAND [ARGS...]")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	return d, re, args[2:]
}

func output(ts *testscript.TestScript, cmd []string) (string, error) {
	path := cmd[0]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, cmd[0]); !strings.Contains(cmd[0], "/") {
			if info, err := os.Stat(p); err == nil && !info.IsDir() {
				path = p
				break
			}
		}
	}
	c := exec.Command(path, cmd[1:]...)
	c.Dir = ts.Getenv("WORK")
	c.Env = scriptEnv(ts)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// scriptEnv is the environment of the script's own commands.
func scriptEnv(ts *testscript.TestScript) []string {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "BERTH_DATA_DIR", "BERTH_LISTEN", "BERTH_SCHEDULER_HEALTHY_AFTER", "WORK", "TMPDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// setenv NAME COMMAND [ARGS...] sets a variable to the command's output, without its last line end.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: setenv NAME COMMAND [ARGS...]")
	}
	out, err := output(ts, args[1:])
	if err != nil {
		ts.Fatalf("%s: %v\n%s", strings.Join(args[1:], " "), err, out)
	}
	ts.Setenv(args[0], strings.TrimSpace(out))
}
