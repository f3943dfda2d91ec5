package docker

import (
	"slices"
	"testing"
)

func TestSecurity(t *testing.T) {
	got := security([]string{"name=apparmor", "name=seccomp,profile=default", "name=cgroupns", "selinux"}) // the last is how old daemons say it
	if want := []string{"apparmor", "seccomp", "cgroupns", "selinux"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
