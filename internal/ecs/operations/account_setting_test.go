package operations

import (
	"testing"
)

func TestAccountSettings(t *testing.T) {
	s := newTestService(t)
	const root, jane = "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:user/jane"
	setting := func(name, value, principal string) string {
		return `{"name":"` + name + `","value":"` + value + `","principalArn":"` + principal + `","type":"user"}`
	}
	wantJSON(t, ok(s, s.ListAccountSettings, `{}`), `{"settings":[]}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{"effectiveSettings":true}`), `{"settings":[`+
		setting("awsvpcTrunking", "disabled", root)+`,`+setting("containerInsights", "disabled", root)+`,`+setting("containerInstanceLongArnFormat", "enabled", root)+`,`+
		setting("defaultLogDriverMode", "non-blocking", root)+`,`+setting("dualStackIPv6", "enabled", root)+`,`+setting("fargateEventWindows", "disabled", root)+`,`+
		setting("fargateFIPSMode", "disabled", root)+`,`+setting("fargateTaskRetirementWaitPeriod", "7", root)+`,`+
		`{"name":"guardDutyActivate","value":"off","principalArn":"`+root+`","type":"aws_managed"},`+
		setting("serviceLongArnFormat", "enabled", root)+`,`+setting("tagResourceAuthorization", "on", root)+`,`+setting("taskLongArnFormat", "enabled", root)+`]}`)

	// The principal's own setting, else the account's default, else the system's.
	wantJSON(t, ok(s, s.PutAccountSettingDefault, `{"name":"awsvpcTrunking","value":"enabled"}`), `{"setting":`+setting("awsvpcTrunking", "enabled", root)+`}`)
	s.ctx = as(s.ctx, jane)
	wantJSON(t, ok(s, s.ListAccountSettings, `{}`), `{"settings":[]}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{"name":"awsvpcTrunking","effectiveSettings":true}`), `{"settings":[`+setting("awsvpcTrunking", "enabled", root)+`]}`)
	wantJSON(t, ok(s, s.PutAccountSetting, `{"name":"awsvpcTrunking","value":"disabled"}`), `{"setting":`+setting("awsvpcTrunking", "disabled", jane)+`}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{}`), `{"settings":[`+setting("awsvpcTrunking", "disabled", jane)+`]}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{"name":"awsvpcTrunking","effectiveSettings":true}`), `{"settings":[`+setting("awsvpcTrunking", "disabled", jane)+`]}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{"principalArn":"`+root+`"}`), `{"settings":[`+setting("awsvpcTrunking", "enabled", root)+`]}`)
	wantJSON(t, ok(s, s.DeleteAccountSetting, `{"name":"awsvpcTrunking"}`), `{"setting":`+setting("awsvpcTrunking", "disabled", jane)+`}`)
	wantJSON(t, ok(s, s.DeleteAccountSetting, `{"name":"awsvpcTrunking"}`), `{"setting":`+setting("awsvpcTrunking", "enabled", root)+`}`)
	wantJSON(t, ok(s, s.ListAccountSettings, `{}`), `{"settings":[]}`)

	// A session of a role stands for the role.
	s.ctx = as(s.ctx, "arn:aws:sts::123456789012:assumed-role/deploy/session-1")
	wantJSON(t, ok(s, s.PutAccountSetting, `{"name":"fargateTaskRetirementWaitPeriod","value":"14"}`), `{"setting":`+setting("fargateTaskRetirementWaitPeriod", "14", "arn:aws:iam::123456789012:role/deploy")+`}`)

	// Filters and pages.
	wantJSON(t, ok(s, s.ListAccountSettings, `{"name":"containerInsights","value":"enabled","effectiveSettings":true}`), `{"settings":[]}`)
	first := ok(s, s.ListAccountSettings, `{"effectiveSettings":true,"maxResults":11}`)
	rest := ok(s, s.ListAccountSettings, `{"effectiveSettings":true,"nextToken":"`+*first.NextToken+`"}`)
	if len(first.Settings) != 11 || len(rest.Settings) != 1 || *rest.Settings[0].Name != "taskLongArnFormat" || rest.NextToken != nil {
		t.Errorf("pages of %d and %d", len(first.Settings), len(rest.Settings))
	}
}

func TestAccountSettingRefusals(t *testing.T) {
	s := newTestService(t)
	refused(s, s.PutAccountSetting, `{"name":"containerInsights","value":"on"}`, "InvalidParameterException: Value for containerInsights should be one of [disabled,enabled,enhanced]")
	refused(s, s.PutAccountSetting, `{"name":"taskLongArnFormat","value":"disabled"}`, "InvalidParameterException: The account setting taskLongArnFormat can't be changed to disabled. Long ARNs are the only format, and can't be opted out of.")
	refused(s, s.PutAccountSettingDefault, `{"name":"guardDutyActivate","value":"on"}`, "InvalidParameterException: The account setting guardDutyActivate can't be changed to on. It is read-only, and managed by the security service.")
	ok(s, s.PutAccountSetting, `{"name":"taskLongArnFormat","value":"enabled"}`) // scripts make sure of it
	refused(s, s.PutAccountSetting, `{"name":"containerInsights","value":"enabled","principalArn":"arn:aws:iam::999999999999:user/x"}`, "InvalidParameterException: The principal ARN 'arn:aws:iam::999999999999:user/x' is invalid. Specify the ARN of a user, a role or the root user of the account and try again.")
	refused(s, s.ListAccountSettings, `{"value":"enabled"}`, "InvalidParameterException: When a value is specified, the name of an account setting must be specified too.")
	refused(s, s.ListAccountSettings, `{"name":"containerInsights","value":"x"}`, "InvalidParameterException: Value for containerInsights should be one of [disabled,enabled,enhanced]")
	if _, err := findSetting("x"); err == nil || err.Error() != "InvalidParameterException: x should be one of [awsvpcTrunking,containerInsights,containerInstanceLongArnFormat,defaultLogDriverMode,dualStackIPv6,fargateEventWindows,fargateFIPSMode,fargateTaskRetirementWaitPeriod,guardDutyActivate,serviceLongArnFormat,tagResourceAuthorization,taskLongArnFormat]" {
		t.Error(err)
	}
}
