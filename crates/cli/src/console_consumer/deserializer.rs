//! Bytes as text, by the Java class that users name for it. Pure.

/// How bytes are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deserializer {
    Raw,
    String,
    Bytes,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Uuid,
    Void,
}

const PACKAGE: &str = "org.apache.kafka.common.serialization.";

impl Deserializer {
    /// By Java's full name, or by the name of the class alone.
    pub(super) fn by_class(class: &str) -> Result<Self, String> {
        Ok(match class.strip_prefix(PACKAGE).unwrap_or(class) {
            "StringDeserializer" => Self::String,
            // An array's own text in Java is its address; the bytes are of more use.
            "ByteArrayDeserializer" => Self::Raw,
            "BytesDeserializer" => Self::Bytes,
            "ShortDeserializer" => Self::Short,
            "IntegerDeserializer" => Self::Integer,
            "LongDeserializer" => Self::Long,
            "FloatDeserializer" => Self::Float,
            "DoubleDeserializer" => Self::Double,
            "BooleanDeserializer" => Self::Boolean,
            "UUIDDeserializer" => Self::Uuid,
            "VoidDeserializer" => Self::Void,
            _ => {
                return Err(format!(
                    "{class} is a Java class of its own, which Kalda cannot run; it has {PACKAGE}{{String,ByteArray,Bytes,Short,Integer,Long,Float,Double,Boolean,UUID,Void}}Deserializer"
                ));
            }
        })
    }

    /// Appends the text of `bytes`.
    pub(super) fn write(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let text = match self {
            Self::Raw => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Self::String | Self::Uuid => String::from_utf8_lossy(bytes).into_owned(),
            Self::Bytes => escaped(bytes),
            Self::Short => i16::from_be_bytes(sized(bytes, "Short")?).to_string(),
            Self::Integer => i32::from_be_bytes(sized(bytes, "Integer")?).to_string(),
            Self::Long => i64::from_be_bytes(sized(bytes, "Long")?).to_string(),
            Self::Float => {
                let value = f32::from_be_bytes(sized(bytes, "Float")?);
                java_float(f64::from(value), &value.to_string(), &format!("{value:e}"))
            }
            Self::Double => {
                let value = f64::from_be_bytes(sized(bytes, "Double")?);
                java_float(value, &value.to_string(), &format!("{value:e}"))
            }
            Self::Boolean => match sized::<1>(bytes, "Boolean")? {
                [0] => "false".to_owned(),
                [1] => "true".to_owned(),
                [other] => {
                    return Err(format!(
                        "Unexpected byte received by BooleanDeserializer: {other}"
                    ));
                }
            },
            Self::Void => return Err("Data should be null for a VoidDeserializer.".to_owned()),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn sized<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("Size of data received by {name}Deserializer is not {N}"))
}

/// Java's text of a floating-point number, out of Rust's plain and scientific ones.
fn java_float(value: f64, plain: &str, scientific: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let with_fraction =
        |digits: &str| if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return with_fraction(plain);
    }
    match scientific.split_once('e') {
        Some((digits, exponent)) => format!("{}E{exponent}", with_fraction(digits)),
        None => plain.to_owned(),
    }
}

/// Printable ASCII as it is, the rest as `\xNN`: the text of Kafka's `Bytes`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(class: &str, bytes: &[u8]) -> Result<String, String> {
        let mut out = Vec::new();
        Deserializer::by_class(class)?.write(bytes, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_are_big_endian_and_look_as_in_java() {
        let of = |class: &str, bytes: &[u8]| shown(class, bytes).unwrap();
        let long = "org.apache.kafka.common.serialization.LongDeserializer";
        assert_eq!(of(long, &(-5i64).to_be_bytes()), "-5");
        assert_eq!(of("IntegerDeserializer", &7i32.to_be_bytes()), "7");
        assert_eq!(of("ShortDeserializer", &7i16.to_be_bytes()), "7");
        assert_eq!(of("DoubleDeserializer", &1.0f64.to_be_bytes()), "1.0");
        assert_eq!(of("DoubleDeserializer", &1.5e10f64.to_be_bytes()), "1.5E10");
        assert_eq!(of("DoubleDeserializer", &1e-4f64.to_be_bytes()), "1.0E-4");
        assert_eq!(of("FloatDeserializer", &0.1f32.to_be_bytes()), "0.1");
        assert_eq!(of("BooleanDeserializer", &[1]), "true");
        assert_eq!(of("BytesDeserializer", b"a\\\x00\xff"), "a\\x5C\\x00\\xFF");
    }

    #[test]
    fn wrong_sizes_and_foreign_classes_are_told() {
        let error = shown("IntegerDeserializer", b"abc").unwrap_err();
        assert_eq!(error, "Size of data received by IntegerDeserializer is not 4");
        assert!(shown("com.example.Mine", b"").is_err());
    }
}
