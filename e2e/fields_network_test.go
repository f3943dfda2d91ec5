package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

var networkFields = []fieldCase{
	{name: "dnsServers", edit: func(d *document) { d.app().DnsServers = []string{"192.0.2.53", "192.0.2.54"} }, check: func(l *lab) {
		l.has("/etc/resolv.conf", l.see("app").ResolvConf, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n")
		l.equal("Dns", l.inspect("app").HostConfig.DNS, []string{"192.0.2.53", "192.0.2.54"})
	}},
	{name: "dnsSearchDomains", edit: func(d *document) { d.app().DnsSearchDomains = []string{"one.example", "two.example"} }, check: func(l *lab) {
		l.has("/etc/resolv.conf", l.see("app").ResolvConf, "search one.example two.example")
	}},
	{name: "extraHosts", edit: func(d *document) {
		d.app().ExtraHosts = []types.HostEntry{{Hostname: aws.String("db.internal"), IpAddress: aws.String("192.0.2.7")}, {Hostname: aws.String("six"), IpAddress: aws.String("2001:db8::7")}}
	}, check: func(l *lab) {
		l.has("/etc/hosts", l.see("app").Hosts, "192.0.2.7\tdb.internal\n2001:db8::7\tsix\n")
	}},
	{name: "extraHosts with networkMode host", edit: func(d *document) {
		d.NetworkMode = types.NetworkModeHost
		d.app().ExtraHosts = []types.HostEntry{{Hostname: aws.String("db.internal"), IpAddress: aws.String("192.0.2.8")}}
	}, check: func(l *lab) { l.has("/etc/hosts", l.see("app").Hosts, "192.0.2.8\tdb.internal\n") }},
	{name: "links with an alias", edit: func(d *document) {
		d.app().Links = []string{"db:database"}
		d.add("db", "serve").Environment = []types.KeyValuePair{pair("REVISION", "linked")}
	}, check: func(l *lab) {
		l.until("the link answers", func() error {
			out, err := l.exec("app", "dial", "database:8080")
			if err == nil && !strings.Contains(out, "linked") {
				err = errors.New(out)
			}
			return err
		})
		l.has("/etc/hosts", l.see("app").Hosts, "database")
	}},
	{name: "links without an alias", edit: func(d *document) {
		d.app().Links = []string{"db"}
		d.add("db", "serve").Environment = []types.KeyValuePair{pair("REVISION", "linked")}
	}, check: func(l *lab) {
		l.until("the link answers", func() error {
			out, err := l.exec("app", "dial", "db:8080")
			if err == nil && !strings.Contains(out, "linked") {
				err = errors.New(out)
			}
			return err
		})
	}},
	{name: "disableNetworking", edit: func(d *document) { d.app().DisableNetworking = aws.Bool(true) }, check: func(l *lab) {
		l.equal("interfaces", l.see("app").Interfaces, []string{"lo"})
		l.equal("NetworkDisabled", l.inspect("app").Config.NetworkDisabled, true)
	}},
	{name: "networkMode none", edit: func(d *document) { d.NetworkMode = types.NetworkModeNone }, check: func(l *lab) {
		l.equal("interfaces", l.see("app").Interfaces, []string{"lo"})
		l.equal("NetworkMode", l.inspect("app").HostConfig.NetworkMode, "none")
	}},
	{name: "networkMode bridge", edit: func(d *document) {
		d.NetworkMode = types.NetworkModeBridge
		d.app().Hostname = aws.String("bridged")
	}, check: func(l *lab) {
		v := l.see("app")
		l.has("interfaces", strings.Join(v.Interfaces, " "), "eth0")
		l.equal("it has the host's network", v.Namespaces["net"] == hostNamespace("net"), false)
		l.equal("hostname", v.Hostname, "bridged")
		l.equal("NetworkMode", l.inspect("app").HostConfig.NetworkMode, "bridge")
	}},
	{name: "networkMode host", edit: func(d *document) {
		d.NetworkMode = types.NetworkModeHost
		port := d.lab.freePort()
		d.app().Command = []string{"serve", "-port", fmt.Sprint(port)}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: &port}}
		d.app().Environment = []types.KeyValuePair{pair("REVISION", "on the host")}
	}, check: func(l *lab) {
		l.equal("network namespace", l.look("app").Namespaces["net"], hostNamespace("net"))
		l.answers(l.binding("app", *l.document.app().PortMappings[0].ContainerPort, "tcp"), "on the host")
	}},
}

// portFields: what can be reached from outside.
var portFields = []fieldCase{
	{name: "portMappings dynamic", edit: func(d *document) {
		d.app().Command = []string{"serve"}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080)}}
		d.app().Environment = []types.KeyValuePair{pair("REVISION", "dynamic")}
	}, check: func(l *lab) { l.answers(l.binding("app", 8080, "tcp"), "dynamic") }},
	{name: "portMappings static", edit: func(d *document) {
		d.app().Command = []string{"serve"}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: aws.Int32(d.lab.freePort())}}
		d.app().Environment = []types.KeyValuePair{pair("REVISION", "static")}
	}, check: func(l *lab) {
		port := *l.document.app().PortMappings[0].HostPort
		l.equal("binding", l.binding("app", 8080, "tcp"), fmt.Sprintf("127.0.0.1:%d", port))
		l.answers(fmt.Sprintf("127.0.0.1:%d", port), "static")
		_, err := l.runAnother()
		if err == nil || !strings.Contains(err.Error(), "RESOURCE:PORTS") {
			l.Errorf("a second task on the same port: %v", err)
		}
	}},
	{name: "portMappings of several ports", edit: func(d *document) {
		d.app().Command = []string{"serve", "-port", "9000"}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080)}, {ContainerPort: aws.Int32(9000)}}
		d.app().Environment = []types.KeyValuePair{pair("REVISION", "second")}
	}, check: func(l *lab) {
		l.answers(l.binding("app", 9000, "tcp"), "second")
		if l.binding("app", 8080, "tcp") == l.binding("app", 9000, "tcp") {
			l.Error("two ports have one host port")
		}
	}},
	{name: "portMappings of two containers with the same port", edit: func(d *document) {
		d.app().Command = []string{"serve"}
		d.app().Environment = []types.KeyValuePair{pair("REVISION", "first")}
		other := d.add("other", "serve")
		other.Environment = []types.KeyValuePair{pair("REVISION", "other")}
		for i := range d.ContainerDefinitions {
			d.ContainerDefinitions[i].PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080)}}
		}
	}, check: func(l *lab) {
		l.answers(l.binding("app", 8080, "tcp"), "first")
		l.answers(l.binding("other", 8080, "tcp"), "other")
	}},
	{name: "portMappings udp dynamic", edit: func(d *document) {
		d.app().Command = []string{"echo", "5353"}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(5353), Protocol: types.TransportProtocolUdp}}
	}, check: func(l *lab) { l.echoes(l.binding("app", 5353, "udp")) }},
	{name: "portMappings udp static", edit: func(d *document) {
		d.app().Command = []string{"echo", "5353"}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(5353), HostPort: aws.Int32(d.lab.freePort()), Protocol: types.TransportProtocolUdp}}
	}, check: func(l *lab) { l.echoes(fmt.Sprintf("127.0.0.1:%d", *l.document.app().PortMappings[0].HostPort)) }},
	{name: "portMappings tcp and udp of one number", edit: func(d *document) {
		port := d.lab.freePort()
		d.app().Command = []string{"echo", "8080"}
		d.add("web", "serve").PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: &port}}
		d.app().PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: &port, Protocol: types.TransportProtocolUdp}}
	}, check: func(l *lab) {
		address := fmt.Sprintf("127.0.0.1:%d", *l.document.app().PortMappings[0].HostPort)
		l.echoes(address)
		l.answers(address, "")
	}},
	{name: "portMappings range", edit: func(d *document) {
		d.app().PortMappings = []types.PortMapping{{ContainerPortRange: aws.String("8000-8010")}}
	}, refused: "containerPortRange of container 'app' '8000-8010' is not supported"},
}

func (l *lab) freePort() int32 {
	l.Helper()
	port, err := freePort()
	if err != nil {
		l.Fatal(err)
	}
	return int32(port)
}

// answers waits until a web server at the address answers with the text.
func (l *lab) answers(address, text string) {
	l.Helper()
	l.until(address+" answers", func() error {
		got, err := httpGet(address)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("answered %q, not %q", got, text)
		}
		return err
	})
}

// echoes waits until the UDP port sends back what it is sent.
func (l *lab) echoes(address string) {
	l.Helper()
	l.until(address+" echoes", func() error {
		c, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		b := make([]byte, 10)
		n, err := c.Read(b)
		if err == nil && string(b[:n]) != "hello" {
			err = fmt.Errorf("got %q", b[:n])
		}
		return err
	})
}

// hostNamespace is this process's own.
func hostNamespace(kind string) string {
	ns, _ := os.Readlink("/proc/self/ns/" + kind)
	return ns
}
