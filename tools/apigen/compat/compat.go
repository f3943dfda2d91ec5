// Package compat writes docs/compat: which operations of an API Berth has, and what it does with their fields. It reads
// the same patches.json that the code is generated from, and the handlers that are really there.
package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/tools/apigen/model"
)

// Load renders the page of a service from the repository at root.
func Load(root string, service *wire.Service, handlers []wire.Handler) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(root, "api/models/patches.json"))
	if err != nil {
		return nil, err
	}
	patches, err := model.ParsePatches(data)
	if err != nil {
		return nil, err
	}
	p := patches[service.ID]
	if p == nil {
		p = &model.Patches{}
	}
	return Render(service, handlers, p)
}

// Render writes the page. A handler that isn't in the model is an error: the gateway would never call it.
func Render(service *wire.Service, handlers []wire.Handler, patches *model.Patches) ([]byte, error) {
	works := map[string]bool{}
	for _, h := range handlers {
		if h.Service.ID == service.ID {
			works[h.Operation] = true
		}
	}
	var table strings.Builder
	built := 0
	for _, op := range service.Operations {
		status := "not built yet"
		if works[op] {
			status = "works"
			built++
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", op, status, patches.Operations[op])
		delete(works, op)
	}
	if len(works) > 0 {
		return nil, fmt.Errorf("handlers for operations that %s doesn't have: %v", service.ID, model.Names(works))
	}

	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Generated from api/models/patches.json and the handlers; run go test ./docs/compat -update. -->\n\n")
	fmt.Fprintf(&b, "# %s\n\n", service.Title)
	fmt.Fprintf(&b, "Berth has %d of the %d operations of API version %s. An operation that isn't built yet answers\n"+
		"`UnsupportedFeatureException`; one that the API doesn't have answers `UnknownOperationException`.\n\n",
		built, len(service.Operations), service.APIVersion)
	fmt.Fprintf(&b, "## Operations\n\n| operation | status | note |\n|---|---|---|\n%s", table.String())
	if len(patches.Support) > 0 {
		b.WriteString("\n## Fields\n\n" +
			"*honoured*: does what AWS documents. *accepted*: kept and shown, without effect, for clients that always send it.\n" +
			"*refused*: answered with an error that names the field, where it would take effect: a task definition that has it\n" +
			"can be registered, but not run.\n")
	}
	for _, shape := range model.Names(patches.Support) {
		fmt.Fprintf(&b, "\n### %s\n\n", title(shape))
		fields(&b, patches.Support[shape])
	}
	return []byte(b.String()), nil
}

// fields lists what is plainly honoured in one line, and has a table for the rest: that is what a reader looks for.
func fields(b *strings.Builder, support map[string]model.Support) {
	var plain []string
	rows := ""
	for _, status := range []string{"honoured", "accepted", "refused"} {
		for _, member := range model.Names(support) {
			switch s := support[member]; {
			case s.Status != status:
			case s.Why == "":
				plain = append(plain, "`"+member+"`")
			default:
				rows += fmt.Sprintf("| `%s` | %s | %s |\n", member, status, s.Why)
			}
		}
	}
	if len(plain) > 0 {
		b.WriteString(wrap("Honoured: "+strings.Join(plain, ", ")+".") + "\n")
	}
	if rows != "" {
		if len(plain) > 0 {
			b.WriteString("\n")
		}
		b.WriteString("| field | | |\n|---|---|---|\n" + rows)
	}
}

// title is how the API reference calls a shape: inputs go by their operation.
func title(shape string) string { return strings.TrimSuffix(shape, "Request") }

func wrap(text string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case width+1+len(word) > 118:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}
