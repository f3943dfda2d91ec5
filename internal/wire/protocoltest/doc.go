// Package protocoltest has the types of AWS's protocol test vectors (internal/wire/testdata), generated as those of a real
// API are, so that the vectors test the generator and the codecs together. Only tests import it.
package protocoltest
