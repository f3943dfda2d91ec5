package awsjson

import (
	"encoding/json"
	"time"
)

// These read a value into a member of a struct; null leaves it absent.

func (d *Decoder) String(p **string)              { member(d, p, (*Decoder).StringValue) }
func (d *Decoder) Int32(p **int32)                { member(d, p, (*Decoder).Int32Value) }
func (d *Decoder) Int64(p **int64)                { member(d, p, (*Decoder).Int64Value) }
func (d *Decoder) Float32(p **float32)            { member(d, p, (*Decoder).Float32Value) }
func (d *Decoder) Float64(p **float64)            { member(d, p, (*Decoder).Float64Value) }
func (d *Decoder) Bool(p **bool)                  { member(d, p, (*Decoder).BoolValue) }
func (d *Decoder) Time(p **time.Time)             { member(d, p, (*Decoder).TimeValue) }
func (d *Decoder) Blob(p *[]byte)                 { nillable(d, p, (*Decoder).BlobValue) }
func (d *Decoder) Document(p *json.RawMessage)    { nillable(d, p, (*Decoder).DocumentValue) }
func (d *Decoder) Strings(p *[]string)            { nillable(d, p, (*Decoder).StringsValue) }
func (d *Decoder) StringMap(p *map[string]string) { nillable(d, p, (*Decoder).StringMapValue) }

func member[T any](d *Decoder, p **T, read func(*Decoder) T) {
	if d.Null() {
		return
	}
	v := read(d)
	*p = &v
}

func nillable[T any](d *Decoder, p *T, read func(*Decoder) T) {
	if !d.Null() {
		*p = read(d)
	}
}
