package iam

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestNewAccessKey(t *testing.T) {
	id, secret := regexp.MustCompile(`\AAKIA[A-Z2-7]{16}\z`), regexp.MustCompile(`\A[A-Za-z0-9]{40}\z`)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	seen := map[string]bool{}
	letters := map[rune]int{}
	for range 1000 {
		k := NewAccessKey(now)
		if !id.MatchString(k.ID) || !secret.MatchString(k.Secret) || !k.Valid() {
			t.Fatalf("not a key: %+v", k)
		}
		if k.Created != now.UTC() {
			t.Fatalf("created %v", k.Created)
		}
		if seen[k.ID] || seen[k.Secret] {
			t.Fatal("made twice")
		}
		seen[k.ID], seen[k.Secret] = true, true
		for _, c := range k.Secret {
			letters[c]++
		}
	}
	// 40,000 letters, 62 kinds: 645 of each, give or take 25 (one sigma).
	for _, c := range secretLetters {
		if letters[c] < 400 || letters[c] > 900 {
			t.Errorf("letter %c came %d times", c, letters[c])
		}
	}
}

func TestValid(t *testing.T) {
	good := AccessKey{ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	if !good.Valid() {
		t.Error("AWS's own example isn't valid")
	}
	for name, k := range map[string]AccessKey{
		"nothing":           {},
		"no secret":         {ID: good.ID},
		"no id":             {Secret: good.Secret},
		"slash in the id":   {ID: good.ID + "/", Secret: good.Secret},
		"line break":        {ID: good.ID, Secret: good.Secret + "\n"},
		"quote in the id":   {ID: good.ID + "'", Secret: good.Secret},
		"short secret":      {ID: good.ID, Secret: "secret"},
		"id beyond reason":  {ID: strings.Repeat("A", 129), Secret: good.Secret},
		"blank in the rest": {ID: good.ID, Secret: "a b" + good.Secret},
	} {
		if k.Valid() {
			t.Errorf("%s is valid", name)
		}
	}
}
