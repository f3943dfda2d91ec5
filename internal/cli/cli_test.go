package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/api/ecsapi"
)

// run runs a command line with an environment of its own.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("BERTH_DATA_DIR", t.TempDir())
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandLineErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"upp"}, 2, `unknown command "upp"`},
		{[]string{"up", "--no-such-flag"}, 2, "berth up --help"},
		{[]string{"status"}, 1, "start one with `berth up`"},
		{[]string{"env"}, 1, "start one with `berth up`"},
		{[]string{"server", "--account", "12"}, 1, "AWS account ids have 12 digits"},
		{[]string{"agent", "--agent-stop-timeout", "soon"}, 2, "--agent-stop-timeout"},
	} {
		code, _, stderr := run(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("berth %s: exit code %d, %q; want %d and %q", strings.Join(c.args, " "), code, stderr, c.code, c.want)
		}
	}
}

// TestAllProblemsAtOnce: somebody with three mistakes in the configuration sees three messages.
func TestAllProblemsAtOnce(t *testing.T) {
	code, _, stderr := run(t, "server", "--account", "12", "--region", "moon", "--log-level", "loud")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"account:", "region:", "logLevel:"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q isn't named in %q", want, stderr)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	code, stdout, _ := run(t, "--help")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, command := range []string{"up", "down", "server", "agent", "env", "status", "version", "demo", "completion"} {
		if !strings.Contains(stdout, "\n  "+command+" ") {
			t.Errorf("%s isn't listed in\n%s", command, stdout)
		}
	}
}

func TestTable(t *testing.T) {
	tb := table{header: []string{"NAME", "N"}}
	tb.add("übung", "1")
	tb.add("a", "22")
	var out bytes.Buffer
	tb.print(&out)
	if want := "NAME   N\nübung  1\na      22\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestRoleIsOneProcess: a second process can't have the role, learns who has it, and gets it when that one is gone, even
// though the file is still there.
func TestRoleIsOneProcess(t *testing.T) {
	dir := t.TempDir()
	first, err := lockProcess(dir, "server", "agent")
	if err != nil {
		t.Fatal(err)
	}
	if pid, ok := holder(dir, "agent"); !ok || pid != os.Getpid() {
		t.Errorf("holder: %d, %v", pid, ok)
	}
	if _, err := lockProcess(dir, "agent"); err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("a second agent: %v", err)
	}
	first.release()
	if _, ok := holder(dir, "agent"); ok {
		t.Error("the role is held by nobody, but a pid was left behind")
	}
	second, err := lockProcess(dir, "agent")
	if err != nil {
		t.Fatal(err)
	}
	second.release()
	if _, stopped, err := stopHolder(dir, "agent", time.Second); stopped || err != nil {
		t.Errorf("stopping nobody: %v, %v", stopped, err)
	}
}

// TestAllRolesOrNone: a process that can't have one of its roles keeps none.
func TestAllRolesOrNone(t *testing.T) {
	dir := t.TempDir()
	agent, err := lockProcess(dir, "agent")
	if err != nil {
		t.Fatal(err)
	}
	defer agent.release()
	if _, err := lockProcess(dir, "server", "agent"); err == nil {
		t.Fatal("the agent's role was given twice")
	}
	if _, ok := holder(dir, "server"); ok {
		t.Error("the server's role is still held")
	}
}

func TestEachPage(t *testing.T) {
	pages := map[string][]string{"": {"a", "b", "c"}, "2": {"d"}}
	var batches []string
	err := eachPage(func(token *string) ([]string, *string, error) {
		if token == nil {
			next := "2"
			return pages[""], &next, nil
		}
		return pages[*token], nil, nil
	}, 2, func(refs []string) error {
		batches = append(batches, strings.Join(refs, "+"))
		return nil
	})
	if got := strings.Join(batches, " "); err != nil || got != "a+b c d" {
		t.Errorf("got %q, %v", got, err)
	}
	failed := errors.New("failed")
	if err := eachPage(func(*string) ([]string, *string, error) { return nil, nil, failed }, 2, nil); err != failed {
		t.Errorf("got %v", err)
	}
}

func TestAgentVersion(t *testing.T) {
	for version, want := range map[string]string{"v1.2.3": "1.2.3", "v1.2.3-4-gabcdef0": "1.2.3", "abcdef0-dirty": "0.0.0", "dev": "0.0.0"} {
		if got := agentVersion(version); got != want {
			t.Errorf("%s: got %s, want %s", version, got, want)
		}
	}
}

// TestAge is what the SINCE column says.
func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{5 * time.Second: "5s", 4 * time.Minute: "4m", 47 * time.Hour: "47h", 50 * time.Hour: "2d"} {
		if got := age(time.Now().Add(-d - 100*time.Millisecond)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// TestStatusOfNothing: tables must not trip over what is absent.
func TestStatusOfNothing(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out}
	a.printStatus(nil)
	if !strings.Contains(out.String(), "no clusters yet") {
		t.Errorf("got %q", out.String())
	}
	now, text, zero := time.Now(), "x", int32(0)
	out.Reset()
	a.printTasks([]ecsapi.Task{{TaskArn: &text, LastStatus: &text, DesiredStatus: &text, TaskDefinitionArn: &text, CreatedAt: &now}})
	a.printServices([]ecsapi.Service{{ServiceName: &text, Status: &text, DesiredCount: &zero, RunningCount: &zero, PendingCount: &zero, TaskDefinition: &text}})
	if strings.Count(out.String(), "\n") < 4 {
		t.Errorf("got %q", out.String())
	}
}

// TestEnvIsShell: what env prints is read by a shell, whatever is in it.
func TestEnvIsShell(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BERTH_DATA_DIR", dir)
	key := `{"AccessKeyId":"AKIAAAAAAAAAAAAAAAAA","SecretAccessKey":"0123456789012345678901234567890123456789","CreateDate":"2026-01-01T00:00:00Z"}`
	if err := os.WriteFile(dir+"/root-access-key.json", []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Run(t.Context(), []string{"env", "--listen", "127.0.0.1:1234"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	sh := exec.Command("sh", "-c", `eval "$1"; echo "$AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_DEFAULT_REGION ${AWS_PROFILE-none}"`, "sh", out.String())
	sh.Env = append(os.Environ(), "AWS_PROFILE=left-over")
	got, err := sh.Output()
	if want := "http://127.0.0.1:1234 AKIAAAAAAAAAAAAAAAAA us-east-1 none\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
