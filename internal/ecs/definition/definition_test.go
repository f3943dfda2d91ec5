package definition_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
)

// read reads a document. Members that are left out of a test's document come from a small valid one.
func read(t *testing.T, document string) *ecs.TaskDefinition {
	t.Helper()
	td := &ecs.TaskDefinition{}
	if err := json.Unmarshal([]byte(document), td); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	if td.Family == "" {
		td.Family = "web"
	}
	for i := range td.ContainerDefinitions {
		c := &td.ContainerDefinitions[i]
		if c.Name == "" {
			c.Name = string(rune('a' + i))
		}
		if c.Image == "" {
			c.Image = "nginx"
		}
		if c.Memory == nil && c.MemoryReservation == nil && td.Memory == "" {
			memory := 64
			c.Memory = &memory
		}
	}
	return td
}

// container makes a document of one container.
func container(members string) string { return `{"containerDefinitions":[{` + members + `}]}` }

func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"container defaults": {
			`{"family":"f","containerDefinitions":[{"name":"a","image":"i"}]}`,
			`{"family":"f","revision":0,"status":"","containerDefinitions":[{"cpu":0,"environment":[],"essential":true,"image":"i","mountPoints":[],"name":"a","portMappings":[],"systemControls":[],"volumesFrom":[]}],"volumes":[],"placementConstraints":[]}`,
		},
		"what was sent stays, empty lists too": {
			`{"family":"f","cpu":"256","memory":"512","networkMode":"bridge","containerDefinitions":[{"name":"a","image":"i","essential":false,"cpu":5,"ulimits":[],"dockerLabels":{},"entryPoint":[],"secrets":[],"systemControls":[{"namespace":"n","value":"1"}]}],"volumes":[{"name":"v"},{"name":"w","host":{}}]}`,
			`{"family":"f","revision":0,"status":"","containerDefinitions":[{"cpu":5,"dockerLabels":{},"entryPoint":[],"environment":[],"essential":false,"image":"i","mountPoints":[],"name":"a","portMappings":[],"secrets":[],"systemControls":[{"namespace":"n","value":"1"}],"ulimits":[],"volumesFrom":[]}],"volumes":[{"name":"v"},{"host":{},"name":"w"}],"placementConstraints":[],"cpu":"256","memory":"512","networkMode":"bridge"}`,
		},
		"health check and Docker volume": {
			`{"family":"f","containerDefinitions":[{"name":"a","image":"i","healthCheck":{"command":["CMD","x"],"retries":7}}],"volumes":[{"name":"v","dockerVolumeConfiguration":{}}]}`,
			`{"family":"f","revision":0,"status":"","containerDefinitions":[{"cpu":0,"environment":[],"essential":true,"healthCheck":{"command":["CMD","x"],"interval":30,"retries":7,"timeout":5},"image":"i","mountPoints":[],"name":"a","portMappings":[],"systemControls":[],"volumesFrom":[]}],"volumes":[{"dockerVolumeConfiguration":{"scope":"task"},"name":"v"}],"placementConstraints":[]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var td ecs.TaskDefinition
			if err := json.Unmarshal([]byte(c.in), &td); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time changes nothing
				if err := definition.Normalise(&td); err != nil {
					t.Fatal(err)
				}
				got, _ := json.Marshal(&td)
				if diff := cmp.Diff(c.want, string(got)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

func TestNormaliseTaskSize(t *testing.T) {
	for in, want := range map[string][2]string{ // as cpu, as memory
		"":                       {"", ""},
		"1024":                   {"1024", "1024"},
		" 512 ":                  {"512", "512"},
		"1 vCPU":                 {"1024", "!"},
		"1vcpu":                  {"1024", "!"},
		".5 vCPU":                {"512", "!"},
		"0.25vCPU":               {"256", "!"},
		"2 vcpus":                {"2048", "!"},
		"1 GB":                   {"!", "1024"},
		".5 GB":                  {"!", "512"},
		"0.5gb":                  {"!", "512"},
		"30 GB":                  {"!", "30720"},
		"512 MiB":                {"!", "512"},
		"-1":                     {"!", "!"},
		"0":                      {"!", "!"},
		"1.5":                    {"!", "!"},
		"many":                   {"!", "!"},
		"1e3":                    {"!", "!"},
		"..5":                    {"!", "!"},
		"9999999999999999999999": {"!", "!"},
	} {
		for i, setting := range []string{"cpu", "memory"} {
			td := ecs.TaskDefinition{}
			field := []*string{&td.CPU, &td.Memory}[i]
			*field = in
			err := definition.Normalise(&td)
			if want[i] == "!" {
				if err == nil || !strings.Contains(err.Error(), "ClientException: Invalid '"+setting+"' setting for task.") {
					t.Errorf("%s %q: %v, want it refused", setting, in, err)
				}
			} else if err != nil || *field != want[i] {
				t.Errorf("%s %q = %q, %v, want %q", setting, in, *field, err, want[i])
			}
		}
	}
}

func TestHostPorts(t *testing.T) {
	const omitted = -1
	for mode, want := range map[string]int{"": 0, "bridge": 0, "host": 80, "awsvpc": 80} {
		td := read(t, `{"networkMode":"`+mode+`","containerDefinitions":[{"portMappings":[{"containerPort":80},{"containerPortRange":"90-99"}]}]}`)
		if err := definition.Normalise(td); err != nil {
			t.Fatal(err)
		}
		got := []int{omitted, omitted}
		for i, p := range td.ContainerDefinitions[0].PortMappings {
			if p.HostPort != nil {
				got[i] = *p.HostPort
			}
			if p.Protocol != "tcp" {
				t.Errorf("%q: protocol %q", mode, p.Protocol)
			}
		}
		if got[0] != want || got[1] != omitted {
			t.Errorf("%q: hostPorts %v, want %d and none", mode, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	many := func(n int, element string) string { return strings.TrimSuffix(strings.Repeat(element+",", n), ",") }
	for name, c := range map[string]struct{ document, want string }{
		"no family":        {`{"family":" ","containerDefinitions":[{}]}`, "Family contains invalid characters."},
		"family too long":  {`{"family":"` + strings.Repeat("f", 256) + `","containerDefinitions":[{}]}`, "Family should be 255 characters or less."},
		"family with dots": {`{"family":"a.b","containerDefinitions":[{}]}`, "Family contains invalid characters."},
		"no container":     {`{"containerDefinitions":[]}`, "Container list cannot be empty."},
		"11 containers":    {`{"containerDefinitions":[` + many(11, "{}") + `]}`, "Too many containers."},
		"name":             {container(`"name":"a b"`), "Container.name contains invalid characters."},
		"same name":        {`{"containerDefinitions":[{"name":"a"},{"name":"a"}]}`, "Container names must be unique within a Task Definition."},
		"image characters": {container(`"image":"$IMAGE"`), "Container.image contains invalid characters."},
		"image too long":   {container(`"image":"` + strings.Repeat("i", 256) + `"`), "Container.image should be 255 characters or less."},
		"none essential":   {container(`"essential":false`), "Task definition doesn't have any essential container."},
		"task cpu":         {`{"cpu":"64","containerDefinitions":[{}]}`, "Invalid 'cpu' setting for task. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."},
		"role":             {`{"taskRoleArn":"arn:aws:iam::XXXXXXXXXXXX:role/r","containerDefinitions":[{}]}`, "Role is not valid"},
		"accelerators":     {`{"inferenceAccelerators":[{"deviceName":"d","deviceType":"t"}],"containerDefinitions":[{}]}`, "Unsupported field 'inferenceAccelerators'."},
		"disk on EC2":      {`{"ephemeralStorage":{"sizeInGiB":30},"containerDefinitions":[{}]}`, "Tasks using the EC2 launch type do not support EphemeralStorage."},
		"too long":         {container(`"environment":[{"name":"N","value":"` + strings.Repeat("v", 65536) + `"}]`), "Actual length: '65819'. Max allowed length is '65536' bytes."},

		"sum of cpu":           {`{"cpu":"512","containerDefinitions":[{"cpu":256},{"cpu":256},{"cpu":128}]}`, "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."},
		"sum of memory":        {`{"memory":"512","containerDefinitions":[{"memory":512,"memoryReservation":256},{"memory":257}]}`, "The sum of all container 'memory' values cannot be greater than the value of the task 'memory'."},
		"memory over task's":   {`{"memory":"512","containerDefinitions":[{"memory":513}]}`, "The 'memory' setting for container 'a' is greater than for the task."},
		"soft over hard limit": {container(`"memory":64,"memoryReservation":65`), "Invalid setting for container 'a'. 'memory' must be greater than or equal to 'memoryReservation'."},
		"memory too small":     {container(`"memory":3`), "Invalid setting for container 'a'. 'memory' must be at least 4 MiB."},
		"cpu":                  {container(`"cpu":-1`), "Invalid setting for container 'a'. 'cpu' must be greater than or equal to 0."},

		"port":                 {container(`"portMappings":[{"containerPort":65536}]`), "Invalid 'containerPort' setting for container 'a'. It must be between 1 and 65535."},
		"no port":              {container(`"portMappings":[{"hostPort":80}]`), "Invalid 'containerPort' setting for container 'a'. It must be between 1 and 65535."},
		"host port":            {container(`"portMappings":[{"containerPort":80,"hostPort":-1}]`), "Invalid 'hostPort' setting for container 'a'. It must be between 0 and 65535."},
		"awsvpc host port":     {`{"networkMode":"awsvpc","containerDefinitions":[{"portMappings":[{"containerPort":80,"hostPort":8080}]}]}`, "When networkMode=awsvpc, the host ports and container ports in port mappings must match."},
		"host host port":       {`{"networkMode":"host","containerDefinitions":[{"portMappings":[{"containerPort":80,"hostPort":8080}]}]}`, "When networkMode=host, the host ports and container ports in port mappings must match."},
		"no network":           {`{"networkMode":"none","containerDefinitions":[{"portMappings":[{"containerPort":80}]}]}`, "Port mappings are not supported when networkMode=none."},
		"host port twice":      {`{"containerDefinitions":[{"portMappings":[{"containerPort":80,"hostPort":8080}]},{"portMappings":[{"containerPort":81,"hostPort":8080}]}]}`, "The host port 8080 is used multiple times in task."},
		"awsvpc port twice":    {`{"networkMode":"awsvpc","containerDefinitions":[{"portMappings":[{"containerPort":80}]},{"portMappings":[{"containerPort":80}]}]}`, "The container port 80 is used multiple times in task."},
		"ranges overlap":       {container(`"portMappings":[{"containerPortRange":"10-20"},{"containerPortRange":"20-30"}]`), "The container port 20-30 is used multiple times in task."},
		"range and port":       {container(`"portMappings":[{"containerPortRange":"10-20","containerPort":10}]`), "cannot specify both single port and port range"},
		"range reversed":       {container(`"portMappings":[{"containerPortRange":"20-10"}]`), "Invalid 'containerPortRange' setting: '20-10'"},
		"range on the host":    {`{"networkMode":"host","containerDefinitions":[{"portMappings":[{"containerPortRange":"10-20"}]}]}`, "containerPortRange is not supported when networkMode=host."},
		"port name":            {container(`"portMappings":[{"containerPort":80,"name":"Web"}]`), "The port mapping name 'Web' is invalid. It can have up to 64 lowercase letters, numbers, underscores and hyphens, and can't start with a hyphen."},
		"port name twice":      {container(`"portMappings":[{"containerPort":80,"name":"w"},{"containerPort":81,"name":"w"}]`), "The port mapping name 'w' is invalid. The port mapping name is already used."},
		"links in awsvpc":      {`{"networkMode":"awsvpc","containerDefinitions":[{"links":["b"]},{}]}`, "Links are not supported when networkMode=awsvpc."},
		"hostname in awsvpc":   {`{"networkMode":"awsvpc","containerDefinitions":[{"hostname":"h"}]}`, "hostname is not supported on container when networkMode=awsvpc."},
		"DNS in awsvpc":        {`{"networkMode":"awsvpc","containerDefinitions":[{"dnsServers":["1.1.1.1"]}]}`, "DNS servers are not supported on container when networkMode=awsvpc."},
		"hosts in awsvpc":      {`{"networkMode":"awsvpc","containerDefinitions":[{"extraHosts":[{"hostname":"h","ipAddress":"1.1.1.1"}]}]}`, "Extra hosts are not supported on container when networkMode=awsvpc."},
		"no network in awsvpc": {`{"networkMode":"awsvpc","containerDefinitions":[{"disableNetworking":true}]}`, "Disable Networking is not supported on container when networkMode=awsvpc."},

		"link to nobody":         {container(`"links":["z:y"]`), "Invalid 'links' setting. Unknown container: 'z'"},
		"links in a circle":      {`{"containerDefinitions":[{"links":["b"]},{"links":["c"]},{"links":["a"]}]}`, "Container links should not have a cycle"},
		"depends on nobody":      {container(`"dependsOn":[{"containerName":"z","condition":"START"}]`), "Cannot depend on container + 'z' because it does not exist"},
		"depends on itself":      {container(`"dependsOn":[{"containerName":"a","condition":"START"}]`), "Container dependencies should not have a cycle"},
		"depends in a circle":    {`{"containerDefinitions":[{"dependsOn":[{"containerName":"b","condition":"START"}]},{"dependsOn":[{"containerName":"a","condition":"START"}]}]}`, "Container dependencies should not have a cycle"},
		"essential completes":    {`{"containerDefinitions":[{"dependsOn":[{"containerName":"b","condition":"SUCCESS"}]},{}]}`, "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"},
		"healthy unchecked":      {`{"containerDefinitions":[{"dependsOn":[{"containerName":"b","condition":"HEALTHY"}]},{}]}`, "A dependency container with HEALTHY condition must have health check configured"},
		"healthy, check of none": {`{"containerDefinitions":[{"dependsOn":[{"containerName":"b","condition":"HEALTHY"}]},{"healthCheck":{"command":["NONE"]}}]}`, "A dependency container with HEALTHY condition must have health check configured"},
		"volumes from nobody":    {container(`"volumesFrom":[{"sourceContainer":"z"}]`), "Invalid 'volumesFrom' setting. Unknown container: 'z'"},
		"unknown volume":         {container(`"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}]`), "Unknown volume 'v'."},
		"mounted nowhere":        {`{"containerDefinitions":[{"mountPoints":[{"sourceVolume":"v"}]}],"volumes":[{"name":"v"}]}`, "MountPoint.containerPath should not be null or empty."},
		"same volume":            {`{"containerDefinitions":[{}],"volumes":[{"name":"v"},{"name":"v"}]}`, "Volume names must be unique within a Task Definition."},
		"two kinds of volume":    {`{"containerDefinitions":[{}],"volumes":[{"name":"v","host":{"sourcePath":"/x"},"dockerVolumeConfiguration":{}}]}`, "Only one volume configuration can be specified for volume 'v', not host and dockerVolumeConfiguration."},
		"autoprovision":          {`{"containerDefinitions":[{}],"volumes":[{"name":"v","dockerVolumeConfiguration":{"autoprovision":true}}]}`, "Autoprovision can only be specified for a Docker volume with the scope 'shared'."},
		"at launch, unused":      {`{"containerDefinitions":[{}],"volumes":[{"name":"v","configuredAtLaunch":true}]}`, "Volumes [v] are not referenced by any of the containers."},
		"EFS port":               {`{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","transitEncryptionPort":2999}}]}`, "TransitEncryptionPort requires that TransitEncryption is enabled."},
		"EFS IAM":                {`{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","authorizationConfig":{"iam":"ENABLED"}}}]}`, "EFS IAM authorization requires TransitEncryption to be enabled."},
		"EFS access point":       {`{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"/x","authorizationConfig":{"accessPointId":"ap"}}}]}`, `When using an EFS access point, the root directory must either be set to "/" or be omitted.`},

		"start timeout":    {container(`"startTimeout":1`), "Granular start timeout on container 'a' must be at least 2 seconds."},
		"stop timeout":     {container(`"stopTimeout":0`), "Granular stop timeout on container 'a' must be at least 2 seconds."},
		"check, no kind":   {container(`"healthCheck":{"command":["curl localhost"]}`), "Health check command for container 'a' should start with CMD or CMD-SHELL."},
		"check, nothing":   {container(`"healthCheck":{"command":["CMD-SHELL"]}`), "Health check command for container 'a' should have something after CMD-SHELL."},
		"check interval":   {container(`"healthCheck":{"command":["CMD","x"],"interval":4}`), "The 'interval' setting for container 'a' must be between 5 and 300."},
		"check timeout":    {container(`"healthCheck":{"command":["CMD","x"],"timeout":61}`), "The 'timeout' setting for container 'a' must be between 2 and 60."},
		"check retries":    {container(`"healthCheck":{"command":["CMD","x"],"retries":0}`), "The 'retries' setting for container 'a' must be between 1 and 10."},
		"check period":     {container(`"healthCheck":{"command":["CMD","x"],"startPeriod":301}`), "The 'startPeriod' setting for container 'a' must be between 0 and 300."},
		"restart period":   {container(`"restartPolicy":{"enabled":true,"restartAttemptPeriod":59}`), "The 'restartAttemptPeriod' setting for container 'a' must be between 60 and 1800."},
		"exit codes":       {container(`"restartPolicy":{"enabled":true,"ignoredExitCodes":[` + many(51, "1") + `]}`), "Invalid setting for container 'a'. 'ignoredExitCodes' can have at most 50 values."},
		"swappiness":       {container(`"linuxParameters":{"swappiness":101}`), "The 'swappiness' setting for container 'a' must be between 0 and 100."},
		"credential specs": {container(`"credentialSpecs":["a","b"]`), "Invalid setting for container 'a'. 'credentialSpecs' can have at most one value."},

		"GPU twice":               {container(`"resourceRequirements":[{"type":"GPU","value":"1"},{"type":"GPU","value":"1"}]`), "Invalid setting for container 'a'. Only one GPU resource requirement is supported."},
		"no GPU":                  {container(`"resourceRequirements":[{"type":"GPU","value":"0"}]`), "Invalid setting for container 'a'. The value of a GPU resource requirement must be a positive number."},
		"proxy without egress":    {`{"networkMode":"awsvpc","containerDefinitions":[{}],"proxyConfiguration":{"containerName":"a","properties":[{"name":"ProxyIngressPort","value":"1"}]}}`, "Egress port not found."},
		"awslogs without group":   {container(`"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-region":"r"}}`), "Log driver awslogs requires options: awslogs-group"},
		"awslogs without options": {container(`"logConfiguration":{"logDriver":"awslogs"}`), "Log driver awslogs requires options: awslogs-region, awslogs-group"},
		"firelens without router": {container(`"logConfiguration":{"logDriver":"awsfirelens"}`), "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be specified."},
		"secret without role":     {container(`"secrets":[{"name":"S","valueFrom":"p"}]`), "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."},
		"secret is a variable":    {container(`"environment":[{"name":"S","value":""}],"secrets":[{"name":"S","valueFrom":"p"}]`), "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'S'."},
		"environment file":        {container(`"environmentFiles":[{"type":"s3","value":"x.env"}]`), "Invalid arn syntax."},
		"environment file's name": {container(`"environmentFiles":[{"type":"s3","value":"arn:aws:s3:::b/x.txt"}]`), "The environment file 'arn:aws:s3:::b/x.txt' must have the file extension .env."},
		"11 environment files":    {container(`"environmentFiles":[` + many(11, `{"type":"s3","value":"arn:aws:s3:::b/x.env"}`) + `]`), "The maximum number of environment files was exceeded. Specify ten or less and try again."},

		"distinctInstance":      {`{"containerDefinitions":[{}],"placementConstraints":[{"type":"distinctInstance"}]}`, "Task definition placement constraints support only the type 'memberOf'."},
		"memberOf what":         {`{"containerDefinitions":[{}],"placementConstraints":[{"type":"memberOf"}]}`, "memberOf expression should be specified."},
		"proxy on a bridge":     {`{"containerDefinitions":[{}],"proxyConfiguration":{"containerName":"a"}}`, "APPMESH proxy configuration is only supported in networkMode=awsvpc."},
		"proxy nobody":          {`{"networkMode":"awsvpc","containerDefinitions":[{}],"proxyConfiguration":{"containerName":"z"}}`, "Proxy container [z] does not exist."},
		"proxy without ingress": {`{"networkMode":"awsvpc","containerDefinitions":[{}],"proxyConfiguration":{"containerName":"a"}}`, "Ingress port not found."},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, c.document, c.want) })
	}
	// These leave out what read() would fill in.
	for want, document := range map[string]string{
		"Container.name should not be null or empty.":                                                           `{"family":"f","containerDefinitions":[{"image":"i","memory":64}]}`,
		"Container.image should not be null or empty.":                                                          `{"family":"f","containerDefinitions":[{"name":"a","memory":64}]}`,
		"Family should not be null or empty.":                                                                   `{"containerDefinitions":[{"name":"a","image":"i","memory":64}]}`,
		"Invalid setting for container 'a'. At least one of 'memory' or 'memoryReservation' must be specified.": `{"family":"f","containerDefinitions":[{"name":"a","image":"i"}]}`,
	} {
		var td ecs.TaskDefinition
		if err := json.Unmarshal([]byte(document), &td); err != nil {
			t.Fatal(err)
		}
		wantError(t, definition.Prepare(&td), want)
	}
}

// TestAccepted has documents that come close to a rule without breaking it.
func TestAccepted(t *testing.T) {
	for name, document := range map[string]string{
		"sizes":                      `{"cpu":"128","memory":"64","containerDefinitions":[{"cpu":128,"memory":60,"memoryReservation":60},{"memoryReservation":4}]}`,
		"most":                       `{"cpu":"196608","containerDefinitions":[{},{},{},{},{},{},{},{},{},{}]}`,
		"ports":                      container(`"portMappings":[{"containerPort":1,"hostPort":0},{"containerPort":65535,"hostPort":65535},{"containerPort":80},{"containerPort":80,"protocol":"udp"},{"containerPort":81,"hostPort":65535,"protocol":"udp"}]`),
		"one port in two containers": `{"containerDefinitions":[{"portMappings":[{"containerPort":80}]},{"portMappings":[{"containerPort":80}]}]}`,
		"ranges side by side":        container(`"portMappings":[{"containerPortRange":"1-2"},{"containerPortRange":"3-65535"}]`),
		"no ports, no network":       `{"networkMode":"none","containerDefinitions":[{"portMappings":[]}]}`,
		"port name":                  container(`"portMappings":[{"containerPort":80,"name":"` + strings.Repeat("w", 64) + `"}]`),
		"long names":                 `{"family":"` + strings.Repeat("f", 255) + `","containerDefinitions":[{"name":"` + strings.Repeat("c", 255) + `","image":"` + strings.Repeat("i", 255) + `"}]}`,
		"least":                      container(`"startTimeout":2,"stopTimeout":2,"healthCheck":{"command":["CMD","x"],"interval":5,"timeout":2,"retries":1,"startPeriod":0},"restartPolicy":{"enabled":true,"restartAttemptPeriod":60},"linuxParameters":{"swappiness":0,"maxSwap":0,"sharedMemorySize":1,"tmpfs":[{"containerPath":"/t","size":1}],"devices":[{"hostPath":"/dev/x"}]}`),
		"greatest":                   container(`"healthCheck":{"command":["CMD-SHELL","x"],"interval":300,"timeout":60,"retries":10,"startPeriod":300},"restartPolicy":{"enabled":true,"restartAttemptPeriod":1800},"linuxParameters":{"swappiness":100},"credentialSpecs":["a"]`),
		"check off":                  container(`"healthCheck":{"command":["NONE"]}`),
		"a diamond":                  `{"containerDefinitions":[{"dependsOn":[{"containerName":"b","condition":"HEALTHY"},{"containerName":"c","condition":"COMPLETE"}],"links":["b","c:x"]},{"links":["d"],"healthCheck":{"command":["CMD","x"]},"dependsOn":[{"containerName":"d","condition":"START"}]},{"links":["d"],"essential":false,"dependsOn":[{"containerName":"d","condition":"START"}]},{}]}`,
		"EFS":                        `{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"/","transitEncryption":"ENABLED","transitEncryptionPort":2999,"authorizationConfig":{"iam":"ENABLED","accessPointId":"ap"}}},{"name":"w","efsVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"/x"}},{"name":"x","efsVolumeConfiguration":{"fileSystemId":"fs-1","authorizationConfig":{"iam":"DISABLED"}}}]}`,
		"at launch":                  `{"containerDefinitions":[{"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}]}],"volumes":[{"name":"v","configuredAtLaunch":true,"host":{}}]}`,
		"shared volume":              `{"containerDefinitions":[{}],"volumes":[{"name":"v","dockerVolumeConfiguration":{"scope":"shared","autoprovision":true}},{"name":"w","configuredAtLaunch":false}]}`,
		"disk":                       fargateTask(`,"ephemeralStorage":{"sizeInGiB":21}`, ""),
		"large disk":                 fargateTask(`,"ephemeralStorage":{"sizeInGiB":200}`, ""),
		"Fargate's capability":       fargateTask(`,"pidMode":"task"`, `,"stopTimeout":120,"privileged":false,"linuxParameters":{"capabilities":{"add":["SYS_PTRACE"],"drop":["ALL"]},"initProcessEnabled":true}`),
		"Fargate's biggest":          fargateTask(`,"cpu":"32768","memory":"249856"`, ""),
		"roles":                      `{"taskRoleArn":"arn:aws-cn:iam::123456789012:role/path/name","executionRoleArn":"name","containerDefinitions":[{}]}`,
		"10 constraints":             `{"placementConstraints":[` + strings.TrimSuffix(strings.Repeat(`{"type":"memberOf","expression":"x"},`, 10), ",") + `],"containerDefinitions":[{}]}`,
		"digest":                     container(`"image":"registry.example:5000/a/b@sha256:0123"`),
	} {
		td := read(t, document)
		if err := definition.Prepare(td); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongest: the limit is 64 KiB of the document, to the byte.
func TestLongest(t *testing.T) {
	document := func(n int) *ecs.TaskDefinition {
		return read(t, container(`"environment":[{"name":"N","value":"`+strings.Repeat("v", n)+`"}]`))
	}
	longest := 65536 - (65819 - 65536)
	if err := definition.Prepare(document(longest)); err != nil {
		t.Error(err)
	}
	wantError(t, definition.Prepare(document(longest+1)), "Actual length: '65537'. Max allowed length is '65536' bytes.")
}

func wantRefused(t *testing.T, document, want string) {
	t.Helper()
	wantError(t, definition.Prepare(read(t, document)), want)
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want %q", want)
	}
	if got := err.Error(); got != "ClientException: "+want {
		t.Errorf("got  %s\nwant ClientException: %s", got, want)
	}
}

// fargateTask is a document that Fargate takes; members replaces or adds members of the task, in JSON's way: the last wins.
func fargateTask(members, containerMembers string) string {
	return `{"networkMode":"awsvpc","cpu":"256","memory":"512","requiresCompatibilities":["FARGATE"],` +
		`"containerDefinitions":[{"name":"a"` + containerMembers + `}]` + members + `}`
}

func TestRefusedByFargate(t *testing.T) {
	if err := definition.Prepare(read(t, fargateTask("", ""))); err != nil {
		t.Fatal(err)
	}
	logs := func(driver, options string) string {
		return `,"logConfiguration":{"logDriver":"` + driver + `","options":{` + options + `}}`
	}
	const group = `"awslogs-region":"r","awslogs-group":"g"`
	for name, c := range map[string]struct{ task, container, want string }{
		"bridge":         {`,"networkMode":"bridge"`, "", "Fargate only supports network mode ‘awsvpc’."},
		"no mode":        {`,"networkMode":""`, "", "Fargate only supports network mode ‘awsvpc’."},
		"no cpu":         {`,"cpu":""`, "", "Fargate requires that 'cpu' be defined at the task level."},
		"no memory":      {`,"memory":""`, `,"memory":64`, "Fargate requires that 'memory' be defined at the task level."},
		"size":           {`,"memory":"1536"`, "", "No Fargate configuration exists for given values: 256 CPU, 1536 memory. See the Amazon ECS documentation for the valid values."},
		"Windows":        {`,"runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"}`, "", "No Fargate configuration exists for given values: 256 CPU, 512 memory. See the Amazon ECS documentation for the valid values."},
		"pid":            {`,"pidMode":"host"`, "", "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'."},
		"ipc":            {`,"ipcMode":"none"`, "", "Fargate compatible task definitions do not support ipcMode"},
		"constraints":    {`,"placementConstraints":[{"type":"memberOf","expression":"x == y"}]`, "", "Fargate compatible task definitions do not support constraints"},
		"host volume":    {`,"volumes":[{"name":"v","host":{"sourcePath":"/x"}}]`, "", "Fargate compatible task definitions do not support sourcePath"},
		"Docker volume":  {`,"volumes":[{"name":"v","dockerVolumeConfiguration":{}}]`, "", "Fargate compatible task definitions do not support dockerVolumeConfiguration"},
		"small disk":     {`,"ephemeralStorage":{"sizeInGiB":20}`, "", "EphemeralStorage size should be at least 21."},
		"large disk":     {`,"ephemeralStorage":{"sizeInGiB":201}`, "", "EphemeralStorage size should be at most 200."},
		"privileged":     {"", `,"privileged":true`, "Fargate requires that the 'privileged' setting be 'false'."},
		"security":       {"", `,"dockerSecurityOptions":["no-new-privileges"]`, "Fargate compatible task definitions do not support dockerSecurityOptions"},
		"GPU":            {"", `,"resourceRequirements":[{"type":"GPU","value":"1"}]`, "Tasks using the Fargate launch type do not support GPU resource requirements."},
		"stop timeout":   {"", `,"stopTimeout":121`, "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds."},
		"devices":        {"", `,"linuxParameters":{"devices":[{"hostPath":"/dev/x"}]}`, "Fargate compatible task definitions do not support devices"},
		"shared memory":  {"", `,"linuxParameters":{"sharedMemorySize":64}`, "Fargate compatible task definitions do not support sharedMemorySize"},
		"swap":           {"", `,"linuxParameters":{"maxSwap":64}`, "Fargate compatible task definitions do not support maxSwap"},
		"capability":     {"", `,"linuxParameters":{"capabilities":{"add":["SYS_PTRACE","NET_ADMIN"]}}`, "NET_ADMIN is not allowed on Fargate."},
		"json-file":      {"", logs("json-file", ""), "json-file is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]"},
		"awslogs role":   {"", logs("awslogs", group), "Fargate requires task definition to have execution role ARN to support log driver awslogs."},
		"awslogs prefix": {`,"executionRoleArn":"r"`, logs("awslogs", group), "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs."},
		"ECR role":       {"", `,"image":"123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"`, "Fargate requires task definition to have execution role ARN to support ECR images."},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, fargateTask(c.task, c.container), c.want) })
	}
}

// TestFargateSizes walks the whole matrix of ecs-semantics 2.2.
func TestFargateSizes(t *testing.T) {
	sizes := map[string][]string{
		"256": {"512", "1024", "2048"},
		"512": {"1024", "2048", "3072", "4096"},
	}
	for cpu, r := range map[string][3]int{"1024": {2048, 8192, 1024}, "2048": {4096, 16384, 1024}, "4096": {8192, 30720, 1024},
		"8192": {16384, 61440, 4096}, "16384": {32768, 122880, 8192}} {
		for m := r[0]; m <= r[1]; m += r[2] {
			sizes[cpu] = append(sizes[cpu], jsonInt(m))
		}
	}
	for cpu, good := range sizes {
		for m := 512; m <= 131072; m += 512 {
			memory := jsonInt(m)
			td := read(t, `{"networkMode":"awsvpc","cpu":"`+cpu+`","memory":"`+memory+`","containerDefinitions":[{}]}`)
			if err := definition.Prepare(td); err != nil {
				t.Fatal(err)
			}
			if got, want := slices.Contains(td.Compatibilities, "FARGATE"), slices.Contains(good, memory); got != want {
				t.Errorf("%s CPU with %s MiB: fits Fargate = %v, want %v", cpu, memory, got, want)
			}
		}
	}
}

func jsonInt(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestCompatibilities(t *testing.T) {
	for name, c := range map[string]struct{ document, want string }{
		"none":         {`{"containerDefinitions":[{}]}`, "EXTERNAL EC2"},
		"bridge":       {`{"networkMode":"bridge","cpu":"256","memory":"512","containerDefinitions":[{}]}`, "EXTERNAL EC2"},
		"Fargate":      {fargateTask("", ""), "EC2 FARGATE MANAGED_INSTANCES"},
		"no such size": {`{"networkMode":"awsvpc","cpu":"512","memory":"717","containerDefinitions":[{}]}`, "EC2 MANAGED_INSTANCES"},
		"EFS":          {`{"containerDefinitions":[{}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1"}}]}`, "EC2"},
		"host":         {`{"networkMode":"host","containerDefinitions":[{}]}`, "EXTERNAL EC2"},
		"EBS":          {`{"containerDefinitions":[{"mountPoints":[{"sourceVolume":"v","containerPath":"/v"}]}],"volumes":[{"name":"v","configuredAtLaunch":true}]}`, "EC2"},
		"S3":           {`{"containerDefinitions":[{}],"volumes":[{"name":"v","s3filesVolumeConfiguration":{"fileSystemArn":"a"}}]}`, "EC2"},
		"FSx":          {`{"containerDefinitions":[{}],"volumes":[{"name":"v","fsxWindowsFileServerVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"r","authorizationConfig":{"credentialsParameter":"c","domain":"d"}}}]}`, "EC2"},
		"host volume":  {`{"containerDefinitions":[{}],"volumes":[{"name":"v"}]}`, "EXTERNAL EC2"},
		"long stop":    {`{"networkMode":"awsvpc","cpu":"256","memory":"512","containerDefinitions":[{"stopTimeout":121}]}`, "EC2 MANAGED_INSTANCES"},
		"Windows":      {`{"networkMode":"awsvpc","cpu":"1024","memory":"2048","runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"},"containerDefinitions":[{}]}`, "EC2 FARGATE"},
	} {
		t.Run(name, func(t *testing.T) {
			td := read(t, c.document)
			if err := definition.Prepare(td); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(td.Compatibilities, " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	wantRefused(t, `{"networkMode":"awsvpc","requiresCompatibilities":["EC2","EXTERNAL"],"containerDefinitions":[{}]}`, "External launch type does not support network mode 'awsvpc'.")
}

// TestRequiredAttributes has cases from answers of the real API that people published, cut down to what matters.
func TestRequiredAttributes(t *testing.T) {
	const (
		ecr     = `"image":"123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"`
		awslogs = `"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-region":"r","awslogs-group":"g","awslogs-stream-prefix":"p"`
		check   = `"healthCheck":{"command":["CMD-SHELL","curl -f http://localhost || exit 1"],"interval":30,"timeout":5,"retries":3`
	)
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"sleep": {container(`"image":"busybox","memory":10,"command":["sleep","360"]`), nil},
		"awslogs on EC2, task size": {`{"cpu":"1024","memory":"512","containerDefinitions":[{` + awslogs + `}}}]}`,
			[]string{"api.1.19", "logging-driver.awslogs"}},
		"ECR image, no role": {container(ecr), []string{"ecr-auth"}},
		"web on Fargate": {`{"networkMode":"awsvpc","cpu":"1024","memory":"3072","executionRoleArn":"x","taskRoleArn":"t","containerDefinitions":[{` + ecr + `,` + check + `},` + awslogs + `,"awslogs-create-group":"true"}}}]}`,
			[]string{"api.1.18", "api.1.19", "api.1.24", "api.1.29", "ecr-auth", "logging-driver.awslogs", "task-iam-role",
				"+container-health-check", "+execution-role-awslogs", "+execution-role-ecr-pull", "+task-eni"}},
		"health check with a start period": {`{"networkMode":"awsvpc","pidMode":"task","ipcMode":"host","proxyConfiguration":{"type":"APPMESH","containerName":"b","properties":[{"name":"ProxyIngressPort","value":"15000"},{"name":"AppPorts","value":"8080"},{"name":"IgnoredUID","value":"1337"},{"name":"ProxyEgressPort","value":"15001"}]},"containerDefinitions":[` +
			`{"dependsOn":[{"containerName":"b","condition":"HEALTHY"}]},{"user":"1337",` + ecr + `,` + check + `,"startPeriod":10}}]}`,
			[]string{"api.1.17", "api.1.18", "api.1.29", "ecr-auth", "+aws-appmesh", "+container-health-check", "+container-ordering", "+pid-ipc-namespace-sharing", "+task-eni"}},
		"FireLens on EC2": {`{"containerDefinitions":[{"memoryReservation":50,` + ecr + `,"firelensConfiguration":{"type":"fluentbit"}},{"memoryReservation":100,"logConfiguration":{"logDriver":"awsfirelens"}}]}`,
			[]string{"api.1.19", "api.1.21", "ecr-auth", "logging-driver.awsfirelens", "+firelens.fluentbit"}},
		"Docker volume": {`{"containerDefinitions":[{` + awslogs + `}}}],"volumes":[{"name":"data","dockerVolumeConfiguration":{"autoprovision":true,"scope":"shared","driver":"local"}}]}`,
			[]string{"api.1.19", "api.1.25", "logging-driver.awslogs", "+docker-plugin.local"}},
		"EFS and environment file, non-blocking": {`{"networkMode":"awsvpc","containerDefinitions":[{"environmentFiles":[{"type":"s3","value":"arn:aws:s3:::b/x.env"}],` + awslogs + `,"mode":"non-blocking","max-buffer-size":"25m"}}}],"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"/"}}]}`,
			[]string{"api.1.18", "api.1.19", "api.1.25", "api.1.28", "logging-driver.awslogs", "+efs", "+efsAuth", "+env-files.s3", "+task-eni"}},
		"agent as a daemon": {`{"pidMode":"host","ipcMode":"host","containerDefinitions":[{"privileged":true,"ulimits":[],"readonlyRootFilesystem":true}]}`,
			[]string{"api.1.17", "api.1.18", "privileged-container", "+pid-ipc-namespace-sharing"}},
		"secrets": {`{"executionRoleArn":"x","containerDefinitions":[{"secrets":[{"name":"A","valueFrom":"arn:aws:secretsmanager:us-east-1:123456789012:secret:s"},{"name":"B","valueFrom":"arn:aws:ssm:us-east-1:123456789012:parameter/p"}],"logConfiguration":{"logDriver":"splunk","secretOptions":[{"name":"splunk-token","valueFrom":"t"}]}}]}`,
			[]string{"api.1.19", "logging-driver.splunk", "+secrets.asm.environment-variables", "+secrets.ssm.bootstrap.log-driver", "+secrets.ssm.environment-variables"}},
		"json-file": {container(`"logConfiguration":{"logDriver":"json-file"}`), []string{"api.1.18", "logging-driver.json-file"}},
		"the newest": {`{"networkMode":"host","taskRoleArn":"t","enableFaultInjection":true,"containerDefinitions":[{"restartPolicy":{"enabled":true},"extraHosts":[{"hostname":"h","ipAddress":"1.1.1.1"}],"stopTimeout":5}]}`,
			[]string{"api.1.17", "api.1.24", "task-iam-role-network-host", "+container-ordering", "+container-restart-policy", "+fault-injection"}},
		"security and swap": {container(`"dockerSecurityOptions":["label:user:x","apparmor=y"],"linuxParameters":{"swappiness":1}`), []string{"apparmor", "api.1.17", "api.1.20", "selinux"}},
		"max swap":          {container(`"linuxParameters":{"maxSwap":1,"devices":[{"hostPath":"/dev/x"}]}`), []string{"api.1.17", "api.1.20"}},
		"capabilities":      {container(`"linuxParameters":{"capabilities":{}}`), []string{"api.1.17"}},
		"hosts on a bridge": {container(`"extraHosts":[{"hostname":"h","ipAddress":"1.1.1.1"}]`), []string{"api.1.17"}},
		"host, no hosts":    {`{"networkMode":"host","containerDefinitions":[{"extraHosts":[]}]}`, []string{"api.1.17"}},
		"hostname":          {container(`"hostname":"h"`), []string{"api.1.17"}},
		"nothing set":       {container(`"privileged":false,"readonlyRootFilesystem":false,"disableNetworking":false,"linuxParameters":{},"restartPolicy":{"enabled":false},"environmentFiles":[],"secrets":[]`), nil},
		"DNS":               {container(`"dnsServers":[]`), []string{"api.1.17"}},
		"much cpu":          {`{"cpu":"10241","containerDefinitions":[{}]}`, []string{"+increased-task-cpu-limit"}},
		"10 vCPU":           {`{"cpu":"10 vCPU","containerDefinitions":[{}]}`, nil},
		"port range":        {container(`"portMappings":[{"containerPortRange":"10-20"}]`), []string{"+network.container-port-range"}},
	} {
		t.Run(name, func(t *testing.T) {
			td := read(t, c.document)
			if err := definition.Prepare(td); err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, w := range c.want {
				if after, ok := strings.CutPrefix(w, "+"); ok {
					want = append(want, "ecs.capability."+after)
				} else {
					want = append(want, "com.amazonaws.ecs.capability."+strings.Replace(w, "api.", "docker-remote-api.", 1))
				}
			}
			for _, a := range td.RequiresAttributes {
				got = append(got, a.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRegistrableDockerVersions: an agent registers no other versions of Docker's API, so that requiring another would make
// the task unplaceable.
func TestRegistrableDockerVersions(t *testing.T) {
	registered := strings.Fields("1.17 1.18 1.19 1.20 1.21 1.22 1.23 1.24 1.25 1.28 1.29 1.30 1.32")
	td := read(t, `{"networkMode":"host","containerDefinitions":[{"user":"u","ulimits":[],"memoryReservation":9,"systemControls":[{"namespace":"n","value":"1"}],`+
		`"linuxParameters":{"initProcessEnabled":true,"maxSwap":1,"sharedMemorySize":1,"capabilities":{"add":["ALL"]}},"extraHosts":[{"hostname":"h","ipAddress":"1.1.1.1"}],`+
		`"healthCheck":{"command":["CMD","x"],"startPeriod":0},"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-region":"r","awslogs-group":"g","mode":"blocking","awslogs-create-group":"true"}}}],`+
		`"volumes":[{"name":"v","dockerVolumeConfiguration":{}}]}`)
	if err := definition.Prepare(td); err != nil {
		t.Fatal(err)
	}
	versions := 0
	for _, a := range td.RequiresAttributes {
		if v, ok := strings.CutPrefix(a.Name, "com.amazonaws.ecs.capability.docker-remote-api."); ok {
			versions++
			if !slices.Contains(registered, v) {
				t.Errorf("requires %s, which no agent registers", a.Name)
			}
		}
	}
	if versions < 8 {
		t.Errorf("only %d versions: the document doesn't reach all the rules", versions)
	}
}
