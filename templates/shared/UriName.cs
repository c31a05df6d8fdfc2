using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace {% block namespace %}{% endblock %};

/// <summary>
/// The URI among the subject alternative names (RFC 5280 4.2.1.6), which is the identity of whoever holds the certificate.
/// <see cref="X509SubjectAlternativeNameExtension"/> reads DNS names and IP addresses alone.
/// </summary>
internal static class UriName
{
    private const string SubjectAlternativeName = "2.5.29.17";

    private static readonly Asn1Tag UniformResourceIdentifier = new(TagClass.ContextSpecific, 6);

    /// <returns>The URI; null where there is none, more than one, or names that cannot be read.</returns>
    public static string? Of(X509Certificate2 certificate)
    {
        try
        {
            var uris = certificate.Extensions.Where(extension => extension.Oid?.Value == SubjectAlternativeName)
                .SelectMany(extension => UrisIn(extension.RawData)).Take(2).ToList();
            return uris.Count == 1 ? uris[0] : null;
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
