package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	// fieldsImage is the test program with an environment, users and groups, and a second name of its program, so that
	// what a definition overrides can be told from what the image says.
	fieldsImage = "berth-e2e/fields:1"
	// checkedImage is the same with a health check of its own, which always fails.
	checkedImage = "berth-e2e/fields-checked:1"
	// ecrImage is the same under a name of ECR's; there is no such registry here, and the local image has to do.
	ecrImage = "123456789012.dkr.ecr.us-east-1.amazonaws.com/berth-e2e:1"
)

// fieldsCluster is the one cluster of TestFields.
type fieldsCluster struct {
	api    *ecs.Client
	env    []string
	log    string
	mu     sync.Mutex
	tasks  []string
	shared []string // volumes that outlive their tasks
}

// forget removes a shared volume after the test.
func (c *fieldsCluster) forget(volume string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shared = append(c.shared, volume)
}

func startFieldsCluster(t *testing.T) *fieldsCluster {
	t.Helper()
	dir := t.TempDir()
	buildFieldsImages(t, filepath.Join(dir, "image"))
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, data := fmt.Sprintf("http://127.0.0.1:%d", port), filepath.Join(dir, "data")
	c := &fieldsCluster{log: filepath.Join(data, "berth.log"), env: append(os.Environ(), "BERTH_DATA_DIR="+data,
		"BERTH_LISTEN=127.0.0.1:"+fmt.Sprint(port))}
	berth := func(args ...string) ([]byte, error) {
		cmd := exec.Command(berthBinary, args...)
		cmd.Env = c.env
		return cmd.CombinedOutput()
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(c.log)
			t.Logf("the end of the log:\n%s", log[max(0, len(log)-4000):])
		}
		if out, err := berth("down", "--delete-data"); err != nil {
			t.Errorf("berth down: %v\n%s", err, out)
		}
		c.nothingLeft(t)
	})
	if out, err := berth("up"); err != nil {
		t.Fatalf("berth up: %v\n%s", err, out)
	}
	keys, err := berth("env")
	if err != nil {
		t.Fatalf("berth env: %v\n%s", err, keys)
	}
	c.api = ecs.New(ecs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(exported(keys, "AWS_ACCESS_KEY_ID"), exported(keys, "AWS_SECRET_ACCESS_KEY"), ""),
	})
	return c
}

// buildFieldsImages makes the images of the cases; they are removed after the test.
func buildFieldsImages(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{
		"etc/passwd": "root:x:0:0:root:/:/none\nworker:x:2001:2002:worker:/home:/none\n",
		"etc/group":  "root:x:0:\nworkers:x:2002:\nops:x:2003:\n",
		"srv/image":  "from the image\n",
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "app"), "./testimage")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the test image's program: %v\n%s", err, out)
	}
	if err := os.Link(filepath.Join(dir, "app"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	layer := dir + ".tar"
	if err := run("tar", "-C", dir, "--owner=0", "--group=0", "-cf", layer, "."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustDocker(t, "rmi", "-f", fieldsImage, checkedImage, ecrImage) })
	mustDocker(t, "import", "--change", `ENTRYPOINT ["/app"]`, "--change", `ENV FROM_IMAGE=image`, "--change", "WORKDIR /srv", layer, fieldsImage)
	mustDocker(t, "tag", fieldsImage, ecrImage)
	mustDocker(t, "import", "--change", `ENTRYPOINT ["/app"]`, "--change", `HEALTHCHECK --interval=1s --retries=1 CMD ["/app", "exit", "1"]`, layer, checkedImage)
}

// nothingLeft checks that berth down removed whatever the tasks had.
func (c *fieldsCluster) nothingLeft(t *testing.T) {
	containers, volumes := docker("ps", "-aq", "--no-trunc", "--format", `{{.Label "com.amazonaws.ecs.task-arn"}}`), docker("volume", "ls", "-q")
	for _, arn := range c.tasks {
		if strings.Contains(containers.out, arn) {
			t.Errorf("a container of %s is left", arn)
		}
		id := arn[strings.LastIndexByte(arn, '/')+1:]
		for _, pattern := range []string{"/sys/fs/cgroup/*/berth/", "/sys/fs/cgroup/berth/"} {
			if left, _ := filepath.Glob(pattern + id); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
	for _, v := range c.shared {
		docker("volume", "rm", v) // some were never made
	}
	if strings.Contains(volumes.out, "ecs-fields-") {
		t.Errorf("volumes of tasks are left:\n%s", volumes.out)
	}
}

type dockerResult struct {
	out string
	err error
}

// docker runs the Docker client; out has standard output and standard error.
func docker(args ...string) dockerResult {
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return dockerResult{string(out), err}
}

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	r := docker(args...)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.out
}

var notInFamily = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// try runs one case.
func (c *fieldsCluster) try(t *testing.T, f fieldCase) {
	d := &document{
		RegisterTaskDefinitionInput: &ecs.RegisterTaskDefinitionInput{
			Family:               aws.String("fields-" + notInFamily.ReplaceAllString(f.name, "-")),
			ContainerDefinitions: []types.ContainerDefinition{container("app", "see")},
		},
		run: &ecs.RunTaskInput{},
	}
	l := &lab{T: t, cluster: c, document: d}
	t.Cleanup(l.cleanUp)
	d.lab = l
	f.edit(d)
	l.register()
	err := l.start()
	if f.refused != "" {
		if err == nil {
			t.Fatalf("RunTask took it, and should have refused it with %q", f.refused)
		}
		if !regexp.MustCompile(f.refused).MatchString(err.Error()) {
			t.Fatalf("RunTask refused it with %q, which doesn't match %q", err, f.refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !f.ends {
		l.running()
	}
	f.check(l)
}

// eventually calls f until it has no error any more.
func eventuallyIn(t *testing.T, patience time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s, not yet: %s: %v", patience, what, err)
		}
		time.Sleep(100 * time.Millisecond) // another process's state: there is no event to wait for
	}
}

// httpGet is the answer of a published port.
func httpGet(address string) (string, error) {
	var out bytes.Buffer
	resp, err := (&httpClient).Get("http://" + address + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(&out, resp.Body)
	return out.String(), err
}
