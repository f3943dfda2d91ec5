package definition_test

import (
	"strings"
	"testing"

	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/fault"
)

func TestUnhonoured(t *testing.T) {
	honoured := map[string]string{
		"plain": `{"containerDefinitions":[{}]}`,
		"everything that runs": `{"networkMode":"bridge","executionRoleArn":"x","pidMode":"host","ipcMode":"host","runtimePlatform":{"operatingSystemFamily":"LINUX","cpuArchitecture":"X86_64"},"enableFaultInjection":false,"requiresCompatibilities":["EC2"],
			"placementConstraints":[{"type":"memberOf","expression":"attribute:x exists"}],
			"volumes":[{"name":"v"},{"name":"w","host":{"sourcePath":"/w"}},{"name":"x","dockerVolumeConfiguration":{"scope":"shared"}}],
			"containerDefinitions":[{"portMappings":[{"containerPort":80,"hostPort":80},{"containerPort":81}],"environment":[{"name":"A","value":"b"}],"command":["c"],"entryPoint":["e"],
			"workingDirectory":"/","user":"u","hostname":"h","dnsServers":["1.1.1.1"],"dnsSearchDomains":["d"],"extraHosts":[{"hostname":"h","ipAddress":"1.1.1.1"}],"links":["b"],"privileged":true,"readonlyRootFilesystem":true,
			"dockerSecurityOptions":["no-new-privileges"],"ulimits":[{"name":"nofile","softLimit":1,"hardLimit":2}],"systemControls":[{"namespace":"n","value":"1"}],"linuxParameters":{"initProcessEnabled":true},"dockerLabels":{"l":"m"},
			"interactive":true,"pseudoTerminal":true,"cpu":1,"memory":64,"memoryReservation":32,"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}],"volumesFrom":[{"sourceContainer":"b"}],"healthCheck":{"command":["CMD","x"]},
			"dependsOn":[{"containerName":"b","condition":"START"}],"startTimeout":10,"stopTimeout":10,"logConfiguration":{"logDriver":"json-file","options":{"max-size":"1m"}},"restartPolicy":{"enabled":true},"versionConsistency":"enabled"},{"disableNetworking":true}]}`,
	}
	for name, document := range honoured {
		td := read(t, document)
		if err := definition.Prepare(td); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := definition.Unhonoured(td); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
		if err := definition.Refuse(td); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	log := func(driver string) string {
		return `"logConfiguration":{"logDriver":"` + driver + `","options":{"awslogs-region":"r","awslogs-group":"g"}}`
	}
	for name, c := range map[string]struct{ document, want string }{
		"awsvpc":      {`{"networkMode":"awsvpc","containerDefinitions":[{}]}`, "networkMode"},
		"Fargate":     {fargateTask("", ""), "networkMode requiresCompatibilities"},
		"task role":   {`{"taskRoleArn":"r","containerDefinitions":[{}]}`, "taskRoleArn"},
		"pid task":    {`{"pidMode":"task","containerDefinitions":[{}]}`, "pidMode"},
		"ipc task":    {`{"ipcMode":"task","containerDefinitions":[{}]}`, "ipcMode"},
		"faults":      {`{"enableFaultInjection":true,"containerDefinitions":[{}]}`, "enableFaultInjection"},
		"Windows":     {`{"runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"},"containerDefinitions":[{}]}`, "runtimePlatform.operatingSystemFamily"},
		"EFS":         {`{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1"}}]}`, "efsVolumeConfiguration"},
		"FSx":         {`{"containerDefinitions":[{}],"volumes":[{"name":"v","fsxWindowsFileServerVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"r","authorizationConfig":{"credentialsParameter":"c","domain":"d"}}}]}`, "fsxWindowsFileServerVolumeConfiguration"},
		"S3":          {`{"containerDefinitions":[{}],"volumes":[{"name":"v","s3filesVolumeConfiguration":{"fileSystemArn":"a"}}]}`, "s3filesVolumeConfiguration"},
		"EBS":         {`{"containerDefinitions":[{"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}]}],"volumes":[{"name":"v","configuredAtLaunch":true}]}`, "configuredAtLaunch"},
		"secrets":     {`{"executionRoleArn":"x","containerDefinitions":[{"secrets":[{"name":"A","valueFrom":"p"}]}]}`, "a.secrets"},
		"files":       {container(`"environmentFiles":[{"type":"s3","value":"arn:aws:s3:::b/x.env"}]`), "a.environmentFiles"},
		"registry":    {container(`"repositoryCredentials":{"credentialsParameter":"c"}`), "a.repositoryCredentials"},
		"FireLens":    {container(`"firelensConfiguration":{"type":"fluentd"},` + log("awsfirelens")), "a.firelensConfiguration a.logConfiguration.logDriver"},
		"awslogs":     {container(log("awslogs")), "a.logConfiguration.logDriver"},
		"log secrets": {`{"executionRoleArn":"x","containerDefinitions":[{"logConfiguration":{"logDriver":"splunk","secretOptions":[{"name":"A","valueFrom":"p"}]}}]}`, "a.logConfiguration.secretOptions"},
		"GPU":         {container(`"resourceRequirements":[{"type":"GPU","value":"1"}]`), "a.resourceRequirements"},
		"port range":  {container(`"portMappings":[{"containerPortRange":"90-99"}]`), "a.portMappings.containerPortRange"},
		"gMSA":        {container(`"credentialSpecs":["credentialspec:file"]`), "a.credentialSpecs"},
	} {
		t.Run(name, func(t *testing.T) {
			td := read(t, c.document)
			if err := definition.Prepare(td); err != nil {
				t.Fatalf("registration refused: %v", err)
			}
			var got []string
			for _, r := range definition.Unhonoured(td) {
				if r.Container != "" {
					got = append(got, r.Container+"."+r.Field)
				} else {
					got = append(got, r.Field)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
			if err := definition.Refuse(td); fault.Code(err) != "UnsupportedFeatureException" {
				t.Errorf("Refuse = %v", err)
			}
		})
	}
}

func TestRefuseNamesEverything(t *testing.T) {
	td := read(t, `{"networkMode":"awsvpc","taskRoleArn":"r","containerDefinitions":[{"repositoryCredentials":{"credentialsParameter":"c"}}]}`)
	td.Revision = 7
	const want = "UnsupportedFeatureException: Berth can't run the task definition web:7 yet: networkMode 'awsvpc' is not supported; use bridge, host or none; " +
		"taskRoleArn is not supported: tasks can't be given credentials of a role; pass credentials in the environment, or leave the role out; " +
		"repositoryCredentials of container 'a' are not supported; pull the image on the instance beforehand."
	if err := definition.Refuse(td); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
