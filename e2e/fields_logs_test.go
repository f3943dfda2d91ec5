package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// logFields: where the output goes. The servers of the drivers are played by the test.
var logFields = []fieldCase{
	{name: "logConfiguration json-file", edit: func(d *document) {
		d.app().Command = []string{"print", "4000", "a line of the log, of which many are to come"}
		d.log(types.LogDriverJsonFile, map[string]string{"max-size": "20k", "max-file": "2", "labels": "com.example.team"})
	}, check: func(l *lab) {
		i := l.inspect("app")
		l.equal("type", i.HostConfig.LogConfig.Type, "json-file")
		l.equal("options", i.HostConfig.LogConfig.Config, map[string]string{"max-size": "20k", "max-file": "2", "labels": "com.example.team"})
		l.until("the log was rotated", func() error {
			_, err := os.Stat(i.LogPath + ".1")
			return err
		})
		l.equal("a third file is there", exists(i.LogPath+".2"), false)
	}},
	{name: "logConfiguration syslog", edit: func(d *document) {
		d.app().Command = []string{"print", "1", "to syslog"}
		d.log(types.LogDriverSyslog, map[string]string{"syslog-address": "udp://" + d.lab.datagrams(), "tag": "a-tag-{{.Name}}", "syslog-format": "rfc5424"})
	}, check: func(l *lab) { l.received("to syslog", "a-tag-ecs-fields-") }},
	{name: "logConfiguration gelf", edit: func(d *document) {
		d.app().Command = []string{"print", "1", "to graylog"}
		d.log(types.LogDriverGelf, map[string]string{"gelf-address": "udp://" + d.lab.datagrams(), "gelf-compression-type": "none", "env": "TEAM"})
		d.app().Environment = []types.KeyValuePair{pair("TEAM", "green")}
	}, check: func(l *lab) { l.received(`"short_message":"to graylog"`, `"_TEAM":"green"`) }},
	{name: "logConfiguration fluentd", edit: func(d *document) {
		d.app().Command = []string{"print", "1", "to fluentd"}
		d.log(types.LogDriverFluentd, map[string]string{"fluentd-address": d.lab.stream(), "tag": "tag.of.mine"})
	}, check: func(l *lab) { l.received("to fluentd", "tag.of.mine") }},
	{name: "logConfiguration splunk", edit: func(d *document) {
		d.app().Command = []string{"print", "1", "to splunk"}
		d.log(types.LogDriverSplunk, map[string]string{"splunk-url": d.lab.collector(), "splunk-token": "a-token", "splunk-source": "a-source"})
	}, check: func(l *lab) { l.received("to splunk", "a-source", "Splunk a-token") }},
	journald(),
	{name: "logConfiguration of a driver that can't start", edit: func(d *document) {
		d.log(types.LogDriverFluentd, map[string]string{"fluentd-address": "127.0.0.1:1"})
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("stopCode", l.task.StopCode, types.TaskStopCodeTaskFailedToStart)
		l.has("reason", aws.ToString(l.container("app").Reason), "logging driver")
	}},
	{name: "logConfiguration awslogs", edit: func(d *document) {
		d.log(types.LogDriverAwslogs, map[string]string{"awslogs-group": "g", "awslogs-region": "us-east-1"})
	}, refused: "logConfiguration.logDriver of container 'app' 'awslogs' is not supported"},
}

// journald: a host without systemd has none, and Docker says so when the container starts.
func journald() fieldCase {
	f := fieldCase{name: "logConfiguration journald", edit: func(d *document) {
		d.app().Command = []string{"print", "1", "to the journal"}
		d.log(types.LogDriverJournald, map[string]string{"tag": "mine"})
	}, check: func(l *lab) {
		l.equal("type", l.inspect("app").HostConfig.LogConfig.Type, "journald")
		l.printed("app", "to the journal")
	}}
	if !exists("/run/systemd/journal/socket") {
		f.ends = true
		f.check = func(l *lab) {
			l.stopped()
			l.has("reason", aws.ToString(l.container("app").Reason), "journald")
		}
	}
	return f
}

func (d *document) log(driver types.LogDriver, options map[string]string) {
	d.app().LogConfiguration = &types.LogConfiguration{LogDriver: driver, Options: options}
}

// inbox is what a server of the test has received.
type inbox struct {
	mu  sync.Mutex
	got strings.Builder
}

func (b *inbox) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got.Write(p)
}

// received waits until all the texts have come.
func (l *lab) received(texts ...string) {
	l.Helper()
	l.until("the log has arrived", func() error {
		l.inbox.mu.Lock()
		defer l.inbox.mu.Unlock()
		for _, text := range texts {
			if !strings.Contains(l.inbox.got.String(), text) {
				return fmt.Errorf("no %q in %q", text, l.inbox.got.String())
			}
		}
		return nil
	})
}

// datagrams is the address of a server that keeps every datagram.
func (l *lab) datagrams() string {
	l.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			l.inbox.Write(b[:n])
		}
	}()
	return c.LocalAddr().String()
}

// stream is the address of a server that keeps whatever comes in.
func (l *lab) stream() string {
	l.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.Cleanup(func() {
		cancel()
		listener.Close()
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			go func() {
				if _, err := io.Copy(&l.inbox, c); err != nil && !errors.Is(err, net.ErrClosed) {
					return
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// collector is the address of a Splunk HTTP event collector.
func (l *lab) collector() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(&l.inbox, "%s %s\n", r.Header.Get("Authorization"), body)
	}))
	l.Cleanup(s.Close)
	return s.URL
}
