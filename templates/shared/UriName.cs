using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace {% block namespace %}{% endblock %};

/// <summary>
/// The URI among the subject alternative names (RFC 5280 4.2.1.6), which is the identity of the certificate's holder.
/// <see cref="X509SubjectAlternativeNameExtension"/> reads DNS names and IP addresses alone.
/// </summary>
internal static class UriName
{
    private const string SubjectAlternativeName = "2.5.29.17";

    private static readonly Asn1Tag UniformResourceIdentifier = new(TagClass.ContextSpecific, 6);

    /// <returns>The URI; null where there is none, more than one, or names that cannot be read.</returns>
    public static string? Of(X509Certificate2 certificate) => AllOf(certificate) is [var uri] ? uri : null;

    /// <returns>Every URI; null where there are names that cannot be read.</returns>
    public static IReadOnlyList<string>? AllOf(X509Certificate2 certificate)
    {
        try
        {
            return certificate.Extensions.Where(extension => extension.Oid?.Value == SubjectAlternativeName)
                .SelectMany(extension => UrisIn(extension.RawData)).ToList();
        }
        catch (AsnContentException)
        {
            return null;
        }
    }

    private static List<string> UrisIn(byte[] generalNames)
    {
        List<string> uris = [];
        var reader = new AsnReader(generalNames, AsnEncodingRules.DER);
        var names = reader.ReadSequence();
        reader.ThrowIfNotEmpty();
        while (names.HasData)
        {
            if (names.PeekTag().HasSameClassAndValue(UniformResourceIdentifier))
            {
                uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, UniformResourceIdentifier));
            }
            else
            {
                names.ReadEncodedValue();
            }
        }

        return uris;
    }
}
