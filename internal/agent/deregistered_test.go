package agent

import "testing"

// TestDeregisteredInstanceComesBackAsANewOne: somebody has deregistered the instance and starts its agent again. The machine
// joins as a new instance, with what belongs to a first registration, and the tasks of the old one end.
func TestDeregisteredInstanceComesBackAsANewOne(t *testing.T) {
	const newARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/fedcba9876543210fedcba9876543210"
	i := newInstance(t)
	acs, _ := i.connect()
	acs.send("PayloadMessage", payload("p1", 5_000_000, appTask()))
	acs.next("AckRequest")
	i.cp.expectCall("SubmitTaskStateChange")
	if arn, err := InstanceARN(i.cfg.DataDir); err != nil || arn != instanceARN {
		t.Errorf("announced %q (%v)", arn, err)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	for len(i.cp.calls) > 0 {
		<-i.cp.calls
	}

	i.cp.script(func(op string, body map[string]any) (int, any) {
		switch {
		case op == "RegisterContainerInstance" && body["containerInstanceArn"] != nil:
			return 400, map[string]any{"__type": "InvalidParameterException", "message": "The container instance is INACTIVE."}
		case op == "RegisterContainerInstance":
			return 200, map[string]any{"containerInstance": map[string]any{"containerInstanceArn": newARN, "attributes": body["attributes"]}}
		case op == "DescribeContainerInstances":
			return 200, map[string]any{"containerInstances": []any{map[string]any{"containerInstanceArn": instanceARN, "status": "INACTIVE"}}}
		}
		return 0, nil
	})
	i.start()
	i.cp.expectCall("RegisterContainerInstance")
	i.cp.expectCall("DescribeContainerInstances")
	in := i.cp.expectCall("RegisterContainerInstance")
	custom := false
	for _, a := range in["attributes"].([]any) {
		custom = custom || a.(map[string]any)["name"] == "stack"
	}
	if in["containerInstanceArn"] != nil || in["clientToken"] == nil || !custom {
		t.Errorf("the registration of a new instance: %v", in)
	}
	acs = i.cp.open(i.cp.acs, "ACS")
	if acs.query["containerInstanceArn"] != newARN {
		t.Errorf("the session is of %s", acs.query["containerInstanceArn"])
	}
	if arn, err := InstanceARN(i.cfg.DataDir); err != nil || arn != newARN {
		t.Errorf("announced %q (%v)", arn, err)
	}
	// The new instance's numbers start lower than where the old one's were.
	acs.send("TaskManifestMessage", map[string]any{"messageId": "m", "clusterArn": clusterARN, "containerInstanceArn": newARN, "timeline": 1, "tasks": []any{}})
	verify := acs.next("TaskStopVerificationMessage")
	if c, _ := verify["stopCandidates"].([]any); len(c) != 1 || c[0].(map[string]any)["taskArn"] != taskARN {
		t.Errorf("verification: %v", verify)
	}
}

// TestRefusedButNotDeregisteredInstanceStaysItself: any other refusal ends the agent, as before, rather than leave a second
// instance behind.
func TestRefusedButNotDeregisteredInstanceStaysItself(t *testing.T) {
	i := newInstance(t)
	i.connect()
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.cp.script(func(op string, body map[string]any) (int, any) {
		switch op {
		case "RegisterContainerInstance":
			return 400, map[string]any{"__type": "InvalidParameterException", "message": "no"}
		case "DescribeContainerInstances":
			return 200, map[string]any{"containerInstances": []any{map[string]any{"containerInstanceArn": instanceARN, "status": "DRAINING"}}}
		}
		return 0, nil
	})
	a, err := New(i.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Fatal("the agent went on")
	}
}
