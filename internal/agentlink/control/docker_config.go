package control

import (
	"encoding/json"
	"time"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
)

// config and hostConfig are the parts of Docker's Config and HostConfig that a container definition reaches and that have
// no field of their own in a payload. The agent unmarshals them over what it has built from the typed fields, so what is
// absent here stays as it was: every member must vanish while it says nothing.
type config struct {
	Hostname        string            `json:",omitempty"`
	User            string            `json:",omitempty"`
	Tty             bool              `json:",omitempty"`
	OpenStdin       bool              `json:",omitempty"`
	WorkingDir      string            `json:",omitempty"`
	NetworkDisabled bool              `json:",omitempty"`
	Labels          map[string]string `json:",omitempty"`
	Healthcheck     *healthcheck      `json:",omitempty"`
}

type healthcheck struct {
	Test        []string
	Interval    time.Duration `json:",omitempty"` // nanoseconds, as time.Duration marshals
	Timeout     time.Duration `json:",omitempty"`
	StartPeriod time.Duration `json:",omitempty"`
	Retries     int           `json:",omitempty"`
}

type hostConfig struct {
	NetworkMode       string            `json:",omitempty"`
	Privileged        bool              `json:",omitempty"`
	ReadonlyRootfs    bool              `json:",omitempty"`
	CapAdd            []string          `json:",omitempty"`
	CapDrop           []string          `json:",omitempty"`
	Devices           []device          `json:",omitempty"`
	Init              *bool             `json:",omitempty"`
	ShmSize           int64             `json:",omitempty"` // bytes, as all sizes here
	Tmpfs             map[string]string `json:",omitempty"`
	Sysctls           map[string]string `json:",omitempty"`
	Ulimits           []ulimit          `json:",omitempty"`
	DNS               []string          `json:"Dns,omitempty"`
	DNSSearch         []string          `json:"DnsSearch,omitempty"`
	ExtraHosts        []string          `json:",omitempty"`
	SecurityOpt       []string          `json:",omitempty"`
	LogConfig         *logConfig        `json:",omitempty"`
	MemoryReservation int64             `json:",omitempty"`
	MemorySwap        int64             `json:",omitempty"`
	MemorySwappiness  *int64            `json:",omitempty"`
	PidMode           string            `json:",omitempty"`
	IpcMode           string            `json:",omitempty"`
}

type device struct {
	PathOnHost, PathInContainer, CgroupPermissions string
}

type ulimit struct {
	Name       string
	Soft, Hard int64
}

type logConfig struct {
	Type   string
	Config map[string]string
}

const mebibyte = 1 << 20

// dockerAPI is the version that the documents are written for: the first that has all of it (Init came with 1.25,
// Healthcheck's StartPeriod with 1.29). Docker has had it since 17.06; an agent that only finds newer ones takes those.
const dockerAPI = "1.29"

// dockerConfig writes what has no field of its own. memory and reservation are MiB, with overrides merged in, 0 for none.
func dockerConfig(td *ecs.TaskDefinition, cd *ecs.ContainerDefinition, mode string, memory, reservation int) *agentlink.DockerConfig {
	c := config{
		Hostname:        cd.Hostname,
		User:            cd.User,
		Tty:             isTrue(cd.PseudoTerminal),
		OpenStdin:       isTrue(cd.Interactive),
		WorkingDir:      cd.WorkingDirectory,
		NetworkDisabled: isTrue(cd.DisableNetworking),
		Labels:          cd.DockerLabels,
		Healthcheck:     dockerHealthcheck(cd),
	}
	h := hostConfig{
		NetworkMode:       mode,
		Privileged:        isTrue(cd.Privileged),
		ReadonlyRootfs:    isTrue(cd.ReadonlyRootFilesystem),
		DNS:               cd.DNSServers,
		DNSSearch:         cd.DNSSearchDomains,
		SecurityOpt:       cd.DockerSecurityOptions,
		MemoryReservation: int64(reservation) * mebibyte,
	}
	for _, e := range cd.ExtraHosts {
		h.ExtraHosts = append(h.ExtraHosts, e.Hostname+":"+e.IPAddress)
	}
	for _, u := range cd.Ulimits {
		h.Ulimits = append(h.Ulimits, ulimit{u.Name, int64(u.SoftLimit), int64(u.HardLimit)})
	}
	for _, s := range cd.SystemControls {
		if h.Sysctls == nil {
			h.Sysctls = map[string]string{}
		}
		h.Sysctls[s.Namespace] = s.Value
	}
	if l := cd.LogConfiguration; l != nil {
		h.LogConfig = &logConfig{l.LogDriver, l.Options}
	}
	if p := cd.LinuxParameters; p != nil {
		linuxParameters(&h, p, memory)
	}
	// "task" is the agent's to arrange: it shares the namespace of a pause container.
	if td.PIDMode == "host" {
		h.PidMode = td.PIDMode
	}
	if td.IPCMode == "host" || td.IPCMode == "none" {
		h.IpcMode = td.IPCMode
	}
	return &agentlink.DockerConfig{Version: dockerAPI, Config: text(c), HostConfig: text(h)}
}

func linuxParameters(h *hostConfig, p *ecs.LinuxParameters, memory int) {
	if p.Capabilities != nil {
		h.CapAdd, h.CapDrop = p.Capabilities.Add, p.Capabilities.Drop
	}
	for _, d := range p.Devices {
		h.Devices = append(h.Devices, dockerDevice(d))
	}
	h.Init = p.InitProcessEnabled
	if p.SharedMemorySize != nil {
		h.ShmSize = int64(*p.SharedMemorySize) * mebibyte
	}
	for _, t := range p.Tmpfs {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[t.ContainerPath] = tmpfsOptions(t)
	}
	// maxSwap is what the container may swap out; Docker counts memory and swap together: memory 256 and maxSwap 128 are
	// a MemorySwap of 384 MiB. Swappiness means nothing without maxSwap, and is ignored then, as AWS documents.
	if p.MaxSwap != nil {
		h.MemorySwap = int64(memory+*p.MaxSwap) * mebibyte
		if p.Swappiness != nil {
			n := int64(*p.Swappiness)
			h.MemorySwappiness = &n
		}
	}
}

// dockerDevice fills in the defaults: the same path, and all permissions.
func dockerDevice(d ecs.Device) device {
	out := device{PathOnHost: d.HostPath, PathInContainer: d.ContainerPath}
	if out.PathInContainer == "" {
		out.PathInContainer = d.HostPath
	}
	for _, p := range d.Permissions {
		switch p {
		case "read":
			out.CgroupPermissions += "r"
		case "write":
			out.CgroupPermissions += "w"
		case "mknod":
			out.CgroupPermissions += "m"
		}
	}
	if out.CgroupPermissions == "" {
		out.CgroupPermissions = "rwm"
	}
	return out
}

func tmpfsOptions(t ecs.Tmpfs) string {
	options := ""
	for _, o := range t.MountOptions {
		options += o + ","
	}
	size, _ := json.Marshal(t.Size)
	return options + "size=" + string(size) + "m"
}

// dockerHealthcheck translates seconds, with ECS's defaults, which aren't Docker's (its timeout is 30 s).
func dockerHealthcheck(cd *ecs.ContainerDefinition) *healthcheck {
	h := cd.HealthCheck
	if h == nil {
		return nil
	}
	if !cd.HasHealthCheck() {
		return &healthcheck{Test: h.Command} // NONE: only the image's own is switched off
	}
	seconds := func(p *int, fallback int) time.Duration { return time.Duration(firstOf(p, &fallback)) * time.Second }
	retries := 3
	return &healthcheck{Test: h.Command, Interval: seconds(h.Interval, 30), Timeout: seconds(h.Timeout, 5),
		StartPeriod: seconds(h.StartPeriod, 0), Retries: firstOf(h.Retries, &retries)}
}

func text(v any) *string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	s := string(b)
	return &s
}
