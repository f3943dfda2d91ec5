package e2e

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// processFields: what is run, and how.
var processFields = []fieldCase{
	{name: "image", edit: func(d *document) { d.app().Image = aws.String(ecrImage) }, check: func(l *lab) {
		l.equal("image", l.inspect("app").Config.Image, ecrImage)
		l.has("a file of the image", l.must("app", "read", "/srv/image"), "from the image")
	}},
	{name: "image of ECR with an execution role", edit: func(d *document) {
		d.app().Image = aws.String(ecrImage)
		d.ExecutionRoleArn = aws.String("arn:aws:iam::123456789012:role/ecsTaskExecutionRole")
	}, check: func(l *lab) { l.equal("image", l.inspect("app").Config.Image, ecrImage) }},
	{name: "command", edit: func(d *document) { d.app().Command = []string{"see", "two words", "$HOME", ""} }, check: func(l *lab) {
		l.equal("arguments", l.see("app").Args, []string{"/app", "see", "two words", "$HOME", ""})
		l.equal("Cmd", l.inspect("app").Config.Cmd, []string{"see", "two words", "$HOME", ""})
	}},
	{name: "entryPoint replaces the image's", edit: func(d *document) {
		d.app().EntryPoint, d.app().Command = []string{"/other", "see"}, []string{"-x", "y"}
	}, check: func(l *lab) {
		l.equal("arguments", l.see("app").Args, []string{"/other", "see", "-x", "y"})
		l.equal("Entrypoint", l.inspect("app").Config.Entrypoint, []string{"/other", "see"})
	}},
	{name: "entryPoint alone", edit: func(d *document) { d.app().EntryPoint, d.app().Command = []string{"/other", "see"}, nil },
		check: func(l *lab) { l.equal("arguments", l.see("app").Args, []string{"/other", "see"}) }},
	{name: "environment", edit: func(d *document) {
		d.app().Environment = []types.KeyValuePair{pair("PLAIN", "value"), pair("ODD", "a=b 'c' $HOME\nnext"), pair("EMPTY", "")}
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("PLAIN", v.Env["PLAIN"], "value")
		l.equal("ODD", v.Env["ODD"], "a=b 'c' $HOME\nnext")
		empty, there := v.Env["EMPTY"]
		l.equal("EMPTY", empty, "")
		l.equal("EMPTY is there", there, true)
		l.equal("the image's variable", v.Env["FROM_IMAGE"], "image")
	}},
	{name: "environment wins over the image's", edit: func(d *document) { d.app().Environment = []types.KeyValuePair{pair("FROM_IMAGE", "definition")} },
		check: func(l *lab) { l.equal("FROM_IMAGE", l.see("app").Env["FROM_IMAGE"], "definition") }},
	{name: "workingDirectory", edit: func(d *document) { d.app().WorkingDirectory = aws.String("/made/for this") }, check: func(l *lab) {
		l.equal("working directory", l.see("app").Dir, "/made/for this")
		l.equal("WorkingDir", l.inspect("app").Config.WorkingDir, "/made/for this")
	}},
	{name: "interactive", edit: func(d *document) { d.app().Interactive = aws.Bool(true) }, check: func(l *lab) {
		l.equal("standard input", l.see("app").Stdin, "pipe")
		l.equal("OpenStdin", l.inspect("app").Config.OpenStdin, true)
	}},
	{name: "pseudoTerminal", edit: func(d *document) { d.app().PseudoTerminal = aws.Bool(true) }, check: func(l *lab) {
		l.equal("standard output is a terminal", l.see("app").StdoutIsTTY, true)
		l.equal("Tty", l.inspect("app").Config.Tty, true)
	}},
	{name: "interactive and pseudoTerminal", edit: func(d *document) {
		d.app().Interactive, d.app().PseudoTerminal = aws.Bool(true), aws.Bool(true)
	}, check: func(l *lab) { l.equal("standard input", l.see("app").Stdin, "terminal") }},
	{name: "initProcessEnabled", edit: func(d *document) { d.linux().InitProcessEnabled = aws.Bool(true) }, check: func(l *lab) {
		v := l.see("app")
		l.equal("process 1", v.First, "docker-init")
		l.equal("the program is not process 1", v.PID > 1, true)
		l.stop()
		l.equal("the init forwards SIGTERM: exit code", aws.ToInt32(l.container("app").ExitCode), int32(0))
	}},
	{name: "initProcessEnabled false", edit: func(d *document) {
		d.linux().InitProcessEnabled = aws.Bool(false)
		d.app().EntryPoint = []string{"/other"} // so that the case can tell its own definition from the default
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("process", v.PID, 1)
		l.equal("process 1", v.First, "other")
	}},
	{name: "runtimePlatform of this machine", edit: func(d *document) {
		d.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: thisArchitecture, OperatingSystemFamily: types.OSFamilyLinux}
		d.app().Command = []string{"see", "platform"}
	}, check: func(l *lab) { l.equal("arguments", l.see("app").Args, []string{"/app", "see", "platform"}) }},
	{name: "runtimePlatform of another machine", edit: func(d *document) {
		d.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: otherArchitecture, OperatingSystemFamily: types.OSFamilyLinux}
	}, refused: "ATTRIBUTE"},
	{name: "runtimePlatform Windows", edit: func(d *document) {
		d.RuntimePlatform = &types.RuntimePlatform{OperatingSystemFamily: types.OSFamilyWindowsServer2022Core}
	}, refused: "runtimePlatform.operatingSystemFamily is not supported"},
}

// identityFields: as whom.
var identityFields = []fieldCase{
	user("1234", 1234, 0, 0),
	user("1234:4321", 1234, 4321, 4321),
	user("worker", 2001, 2002, 2002),
	user("worker:ops", 2001, 2003, 2003),
	user("worker:77", 2001, 77, 77),
	user("2001", 2001, 2002, 2002), // the number is in /etc/passwd, with its group
	user("5:ops", 5, 2003, 2003),
	{name: "hostname", edit: func(d *document) { d.app().Hostname = aws.String("called-this") }, check: func(l *lab) {
		v := l.see("app")
		l.equal("hostname", v.Hostname, "called-this")
		l.has("/etc/hosts", v.Hosts, "called-this")
		l.equal("Hostname", l.inspect("app").Config.Hostname, "called-this")
	}},
	{name: "user that the image doesn't have", edit: func(d *document) { d.app().User = aws.String("nobody-of-that-name") }, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("stopCode", l.task.StopCode, types.TaskStopCodeTaskFailedToStart)
		l.has("reason", aws.ToString(l.container("app").Reason), "nobody-of-that-name")
	}},
}

func user(spec string, uid, gid, group int) fieldCase {
	return fieldCase{name: "user " + spec, edit: func(d *document) { d.app().User = &spec }, check: func(l *lab) {
		v := l.see("app")
		l.equal("user id", v.UID, uid)
		l.equal("group id", v.GID, gid)
		l.equal("User", l.inspect("app").Config.User, spec)
		l.equal("capabilities of somebody who isn't root", v.Status["CapEff"], "0000000000000000")
		if len(v.Groups) > 0 && !slices.Contains(v.Groups, group) {
			l.Errorf("groups %v, without %d", v.Groups, group)
		}
	}}
}

func pair(name, value string) types.KeyValuePair {
	return types.KeyValuePair{Name: &name, Value: &value}
}
