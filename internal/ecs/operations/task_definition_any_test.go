package operations

import (
	"fmt"

	"pgregory.net/rapid"
)

// anyDocument makes a valid task definition, each member being there or not, and lists being empty now and then.
func anyDocument(t *rapid.T) map[string]any {
	maybe := func(m map[string]any, member string, value func() any) {
		if rapid.Bool().Draw(t, member) {
			m[member] = value()
		}
	}
	word := func() any { return rapid.StringMatching(`[a-z][a-z0-9/. "\\é-]{0,12}`).Draw(t, "text") }
	id := func() string { return rapid.StringMatching(`[a-z][a-z0-9_-]{0,8}`).Draw(t, "id") }
	number := func(low, high int) func() any {
		return func() any { return rapid.IntRange(low, high).Draw(t, "n") }
	}
	flag := func() any { return rapid.Bool().Draw(t, "flag") }
	list := func(element func(i int) any) func() any {
		return func() any {
			all := []any{}
			for i := range rapid.IntRange(0, 3).Draw(t, "length") {
				all = append(all, element(i))
			}
			return all
		}
	}
	words := list(func(int) any { return word() })

	mode := rapid.SampledFrom([]string{"", "bridge", "host", "awsvpc", "none"}).Draw(t, "networkMode")
	doc := map[string]any{"family": "f" + id()}
	if mode != "" {
		doc["networkMode"] = mode
	}
	size := rapid.Bool().Draw(t, "task size")
	if size {
		doc["cpu"], doc["memory"] = "16384", "32768"
	}
	maybe(doc, "executionRoleArn", func() any { return "arn:aws:iam::123456789012:role/exec" })
	maybe(doc, "taskRoleArn", func() any { return "role" })
	maybe(doc, "pidMode", func() any { return "host" })
	maybe(doc, "ipcMode", func() any { return "none" })
	maybe(doc, "enableFaultInjection", flag)
	maybe(doc, "runtimePlatform", func() any { return map[string]any{"cpuArchitecture": "X86_64"} })
	maybe(doc, "requiresCompatibilities", func() any { return []any{"EC2"} })
	maybe(doc, "placementConstraints", list(func(int) any { return map[string]any{"type": "memberOf", "expression": "attribute:x exists"} }))
	volumes := []any{
		map[string]any{"name": "empty"},
		map[string]any{"name": "host", "host": map[string]any{"sourcePath": "/x"}},
		map[string]any{"name": "docker", "dockerVolumeConfiguration": map[string]any{"scope": "shared", "autoprovision": flag(), "driver": "local", "labels": map[string]any{}}},
		map[string]any{"name": "efs", "efsVolumeConfiguration": map[string]any{"fileSystemId": "fs-1", "transitEncryption": "ENABLED", "transitEncryptionPort": 2049}},
	}[:rapid.IntRange(0, 4).Draw(t, "volumes")]
	if len(volumes) > 0 || flag() == true {
		doc["volumes"] = volumes
	}
	if mode == "awsvpc" {
		maybe(doc, "proxyConfiguration", func() any {
			property := func(name string) any { return map[string]any{"name": name, "value": "1"} }
			return map[string]any{"type": "APPMESH", "containerName": "c0", "properties": []any{property("ProxyIngressPort"), property("ProxyEgressPort"), property("AppPorts"), property("IgnoredUID")}}
		})
	}

	containers := []any{}
	for i := range rapid.IntRange(1, 3).Draw(t, "containers") {
		c := map[string]any{"name": fmt.Sprintf("c%d", i), "image": "repo/image:" + id()}
		if i > 0 {
			maybe(c, "essential", flag)
			maybe(c, "dependsOn", list(func(int) any { return map[string]any{"containerName": "c0", "condition": "START"} }))
			maybe(c, "volumesFrom", list(func(int) any { return map[string]any{"sourceContainer": "c0", "readOnly": flag()} }))
			if mode == "" || mode == "bridge" {
				maybe(c, "links", func() any { return []any{"c0:zero"} })
			}
		}
		maybe(c, "cpu", number(0, 1024))
		if !size || flag() == true {
			c["memory"] = number(512, 1024)()
		}
		maybe(c, "memoryReservation", number(4, 512))
		for _, member := range []string{"command", "entryPoint", "dockerSecurityOptions"} {
			maybe(c, member, words)
		}
		for _, member := range []string{"interactive", "pseudoTerminal", "privileged", "readonlyRootFilesystem"} {
			maybe(c, member, flag)
		}
		for _, member := range []string{"user", "workingDirectory"} {
			maybe(c, member, word)
		}
		if mode != "awsvpc" {
			maybe(c, "hostname", word)
			maybe(c, "disableNetworking", flag)
			maybe(c, "dnsServers", words)
			maybe(c, "dnsSearchDomains", words)
			maybe(c, "extraHosts", list(func(int) any { return map[string]any{"hostname": word(), "ipAddress": "1.1.1.1"} }))
		}
		maybe(c, "environment", list(func(i int) any { return map[string]any{"name": fmt.Sprintf("E%d", i), "value": word()} }))
		if doc["executionRoleArn"] != nil {
			maybe(c, "secrets", list(func(i int) any { return map[string]any{"name": fmt.Sprintf("S%d", i), "valueFrom": word()} }))
		}
		maybe(c, "environmentFiles", list(func(int) any { return map[string]any{"type": "s3", "value": "arn:aws:s3:::b/x.env"} }))
		maybe(c, "dockerLabels", func() any { return map[string]any{id(): word()} })
		maybe(c, "ulimits", list(func(int) any { return map[string]any{"name": "nofile", "softLimit": number(0, 9)(), "hardLimit": -1} }))
		maybe(c, "systemControls", list(func(int) any { return map[string]any{"namespace": word(), "value": word()} }))
		maybe(c, "startTimeout", number(2, 900))
		maybe(c, "stopTimeout", number(2, 900))
		maybe(c, "versionConsistency", func() any { return "disabled" })
		maybe(c, "credentialSpecs", func() any { return []any{} })
		maybe(c, "repositoryCredentials", func() any { return map[string]any{"credentialsParameter": word()} })
		maybe(c, "resourceRequirements", func() any { return []any{map[string]any{"type": "GPU", "value": "2"}} })
		maybe(c, "mountPoints", func() any {
			all := []any{}
			for _, v := range volumes {
				all = append(all, map[string]any{"sourceVolume": v.(map[string]any)["name"], "containerPath": "/mnt", "readOnly": flag()})
			}
			return all
		})
		maybe(c, "healthCheck", func() any {
			h := map[string]any{"command": []any{"CMD-SHELL", "true"}}
			maybe(h, "interval", number(5, 300))
			maybe(h, "timeout", number(2, 60))
			maybe(h, "retries", number(1, 10))
			maybe(h, "startPeriod", number(0, 300))
			return h
		})
		maybe(c, "restartPolicy", func() any {
			p := map[string]any{"enabled": flag()}
			maybe(p, "ignoredExitCodes", list(func(int) any { return number(0, 255)() }))
			maybe(p, "restartAttemptPeriod", number(60, 1800))
			return p
		})
		maybe(c, "linuxParameters", func() any {
			l := map[string]any{}
			maybe(l, "initProcessEnabled", flag)
			maybe(l, "maxSwap", number(0, 100))
			maybe(l, "swappiness", number(0, 100))
			maybe(l, "sharedMemorySize", number(1, 100))
			maybe(l, "capabilities", func() any { return map[string]any{"add": words(), "drop": []any{"ALL"}} })
			maybe(l, "devices", list(func(int) any { return map[string]any{"hostPath": "/dev/x", "permissions": []any{"read"}} }))
			maybe(l, "tmpfs", list(func(int) any {
				return map[string]any{"containerPath": "/t", "size": number(1, 9)(), "mountOptions": words()}
			}))
			return l
		})
		maybe(c, "logConfiguration", func() any {
			return map[string]any{"logDriver": rapid.SampledFrom([]string{"json-file", "syslog", "splunk"}).Draw(t, "driver"), "options": map[string]any{id(): word()}}
		})
		maybe(c, "firelensConfiguration", func() any { return map[string]any{"type": "fluentbit", "options": map[string]any{}} })
		if mode != "none" {
			maybe(c, "portMappings", list(func(j int) any {
				port := 1000*i + 10*j + 1
				p := map[string]any{"containerPort": port}
				maybe(p, "protocol", func() any { return rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol") })
				maybe(p, "name", func() any { return fmt.Sprintf("p%d-%d", i, j) })
				maybe(p, "appProtocol", func() any { return "http2" })
				maybe(p, "hostPort", func() any { return port })
				if mode != "host" && flag() == true {
					delete(p, "containerPort")
					delete(p, "hostPort")
					p["containerPortRange"] = fmt.Sprintf("%d-%d", port, port+5)
				}
				return p
			}))
		}
		containers = append(containers, c)
	}
	doc["containerDefinitions"] = containers
	return doc
}
