package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

// TestExternalStore keeps the state in an etcd of its own, behind TLS client certificates, with two servers on it and a load
// balancer in front. It kills the leading server, twice, and etcd: a service goes on with the containers that it has, nothing
// that was acknowledged is lost, and a server that stands by says so instead of answering from the past.
func TestExternalStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := newEtcd(t)
	const family = "external-store"

	first := newMachine(t, "first", store.env...)
	second := newMachine(t, "second", store.env...)
	addresses := []string{listenOn(t), listenOn(t)}
	front := newBalancer(t, addresses...)
	first.env = append(first.env, "BERTH_LISTEN="+addresses[0])
	second.env = append(second.env, "BERTH_LISTEN="+addresses[1])

	// The servers come up before their store does, and say so.
	one := first.run("server")
	eventuallyOK(t, "the server says that its store is away", func() error { return expectHealth(addresses[0], "the store does not answer yet") })
	store.start()
	api := first.client("http://" + front.address)
	copyFile(t, first, second, "root-access-key.json") // two servers of one cluster share it
	eventuallyOK(t, "the first server leads", func() error { return ready(addresses[0]) })
	two := second.run("server")
	eventuallyOK(t, "the second server stands by", func() error { return expectHealth(addresses[1], "this server stands by: another one leads") })

	node := newMachine(t, "node", "BERTH_AGENT_ENDPOINT=http://"+front.address)
	copyFile(t, first, node, "root-access-key.json")
	node.run("agent")
	instances := awaitConnected(t, api, 1)
	registerSleeper(t, api, family)
	if _, err := api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String(family), TaskDefinition: aws.String(family), DesiredCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	before := byTask(awaitRunning(t, api, family, family, 2))

	// Neither reads nor writes are answered by the one that stands by, and clients know to try again.
	standby := first.client("http://" + addresses[1])
	_, err := standby.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{family}})
	expectStandby(t, "DescribeServices", err)
	_, err = standby.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), DesiredCount: aws.Int32(0)})
	expectStandby(t, "UpdateService", err)
	_, err = standby.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("nobody")})
	expectStandby(t, "CreateCluster", err)

	// The leader dies. What it acknowledged a moment before is there, what runs goes on running.
	if _, err := api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), DesiredCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	one.kill()
	eventuallyOK(t, "the second server has taken over", func() error { return ready(addresses[1]) })
	if again := awaitConnected(t, api, 1); len(again) != 1 || !sameKeys(again, instances) {
		t.Errorf("the instance is another one: %v", again)
	}
	after := byTask(awaitRunning(t, api, family, family, 3))
	expectKept(t, before, after)

	// The first comes back as the one that stands by, and takes over when the second dies.
	one.start()
	eventuallyOK(t, "the first server stands by", func() error { return expectHealth(addresses[0], "this server stands by: another one leads") })
	two.kill()
	eventuallyOK(t, "the first server leads again", func() error { return ready(addresses[0]) })
	two.start()
	awaitConnected(t, api, 1)
	expectKept(t, after, byTask(awaitRunning(t, api, family, family, 3)))

	// etcd dies, and comes back.
	store.kill()
	store.start()
	eventuallyOK(t, "the service is scaled", func() error {
		_, err := api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), DesiredCount: aws.Int32(4)})
		return err
	})
	awaitConnected(t, api, 1)
	expectKept(t, after, byTask(awaitRunning(t, api, family, family, 4)))
}

func expectStandby(t *testing.T, what string, err error) {
	t.Helper()
	var answer smithy.APIError
	var status interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) || answer.ErrorCode() != "ServerException" || !strings.Contains(answer.ErrorMessage(), "stands by") ||
		!errors.As(err, &status) || status.HTTPStatusCode() < 500 {
		t.Errorf("%s at a server that stands by: %v", what, err)
	}
}

// expectKept checks that every container of before is among those of after, with its task.
func expectKept(t *testing.T, before, after map[string]string) {
	t.Helper()
	for task, id := range before {
		if after[task] != id {
			t.Errorf("task %s ran in container %s and now in %q", task, id, after[task])
		}
	}
}

func sameKeys[A, B any](a map[string]A, b map[string]B) bool {
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

// ready asks a server whether it answers API calls.
func ready(address string) error {
	status, body, err := health(address)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, body)
	}
	return err
}

// expectHealth wants a server that isn't ready, for this reason.
func expectHealth(address, reason string) error {
	status, body, err := health(address)
	if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, reason)) {
		err = fmt.Errorf("%d %s", status, body)
	}
	return err
}

func health(address string) (status int, body string, err error) {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + address + "/health/ready")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func copyFile(t *testing.T, from, to *machine, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from.dir, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(to.dir, name), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// balancer is a load balancer as people have them: it forwards connections to the server that says it is ready.
type balancer struct {
	t       *testing.T
	address string
	servers []string
}

func newBalancer(t *testing.T, servers ...string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &balancer{t: t, address: l.Addr().String(), servers: servers}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go b.forward(conn)
		}
	}()
	return b
}

func (b *balancer) forward(client net.Conn) {
	defer client.Close()
	for _, address := range b.servers {
		if ready(address) != nil {
			continue
		}
		server, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		io.Copy(client, server)
		return
	}
}

// etcd is Debian's etcd-server in a process of its own, which only talks to who has a certificate.
type etcd struct {
	t    *testing.T
	args []string
	env  []string // that berth needs to reach it

	mu  sync.Mutex
	cmd *exec.Cmd
	out bytes.Buffer
}

func newEtcd(t *testing.T) *etcd {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		t.Fatal("an etcd is needed: apt-get install etcd-server")
	}
	dir := t.TempDir()
	certs := writeCertificates(t, dir)
	url, peer := "https://"+listenOn(t), "https://"+listenOn(t)
	e := &etcd{t: t, args: []string{
		"--data-dir", filepath.Join(dir, "data"), "--name", "qa", "--initial-cluster", "qa=" + peer,
		"--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--client-cert-auth", "--trusted-ca-file", certs.ca, "--cert-file", certs.server, "--key-file", certs.serverKey,
		"--peer-auto-tls",
	}, env: []string{"BERTH_STORE_ENDPOINTS=" + url, "BERTH_STORE_CA_FILE=" + certs.ca,
		"BERTH_STORE_CERT_FILE=" + certs.client, "BERTH_STORE_KEY_FILE=" + certs.clientKey}}
	t.Cleanup(func() {
		e.kill()
		if t.Failed() {
			t.Logf("the end of etcd's log:\n%s", e.out.Bytes()[max(0, e.out.Len()-2000):])
		}
	})
	return e
}

func (e *etcd) start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cmd = exec.Command("etcd", e.args...)
	e.cmd.Stdout, e.cmd.Stderr = &e.out, &e.out
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *etcd) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cmd != nil {
		e.cmd.Process.Kill()
		e.cmd.Wait()
		e.cmd = nil
	}
}

type certificates struct{ ca, server, serverKey, client, clientKey string }

// writeCertificates makes an authority, and what etcd and its clients need of it.
func writeCertificates(t *testing.T, dir string) certificates {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	issue := func(name string, serial int64) (cert, key string) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: ca.NotAfter,
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, k.Public(), caKey)
		must(err)
		keyDER, err := x509.MarshalECPrivateKey(k)
		must(err)
		return write(name+".pem", "CERTIFICATE", der), write(name+"-key.pem", "EC PRIVATE KEY", keyDER)
	}
	var c certificates
	c.ca = write("ca.pem", "CERTIFICATE", caDER)
	c.server, c.serverKey = issue("etcd", 2)
	c.client, c.clientKey = issue("berth", 3)
	return c
}
